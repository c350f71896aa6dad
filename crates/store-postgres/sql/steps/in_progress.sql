SELECT queue, count(*)
FROM quintet.steps
WHERE is_running AND action = $1
GROUP BY action, queue
ORDER BY action, queue
