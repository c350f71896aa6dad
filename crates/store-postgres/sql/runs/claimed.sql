SELECT namespace, id
FROM quintet.runs
WHERE finished_at IS NULL AND claims > 0 AND (owner = 0 OR owner <> ALL ($1)) AND id >= $2
ORDER BY id
LIMIT $3
