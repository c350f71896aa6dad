SELECT id, version, status
FROM quintet.runs
WHERE id = ANY ($1)
