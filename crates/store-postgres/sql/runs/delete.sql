DELETE FROM quintet.runs
WHERE id = ANY ($1) AND ($2 IS NULL OR namespace = $2) AND finished_at IS NOT NULL AND ($3 IS NULL OR finished_at < $3)
RETURNING id
