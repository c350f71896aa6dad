SELECT namespace, id
FROM runs INDEXED BY runs_live
WHERE finished_at IS NULL AND wake_at <= ?1
ORDER BY wake_at, id
LIMIT ?2
