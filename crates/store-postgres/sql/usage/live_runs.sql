SELECT namespace, count(*)
FROM quintet.runs
WHERE finished_at IS NULL
GROUP BY namespace
ORDER BY namespace
