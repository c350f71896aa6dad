SELECT namespace, id
FROM runs INDEXED BY runs_live
WHERE finished_at IS NULL AND claims > 0 AND (?1 IS NULL OR id > ?1)
ORDER BY id
LIMIT ?2
