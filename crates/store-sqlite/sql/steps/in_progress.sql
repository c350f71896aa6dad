SELECT queue, count(*)
FROM steps INDEXED BY steps_open
WHERE action = ?1 AND status = 2 AND status <> 6
GROUP BY queue
