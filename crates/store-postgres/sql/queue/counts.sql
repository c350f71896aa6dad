SELECT queue, count(*), (min(run::text))::uuid
FROM quintet.queue
WHERE namespace = $1
GROUP BY queue
ORDER BY queue
