SELECT queue, count(*), min(run)
FROM queue
WHERE namespace = ?1
GROUP BY queue
ORDER BY queue
