SELECT namespace, count(*)
FROM runs INDEXED BY runs_live
WHERE finished_at IS NULL
GROUP BY namespace
ORDER BY namespace
