DELETE FROM quintet.steps
WHERE run = ANY ($1)
