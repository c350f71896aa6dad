SELECT id
FROM quintet.runs
WHERE finished_at < $1
ORDER BY id
LIMIT $2
