SELECT status, count(*)
FROM quintet.runs
GROUP BY status
ORDER BY status
