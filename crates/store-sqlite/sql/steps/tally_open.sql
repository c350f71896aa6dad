SELECT status, count(*), min(created_at)
FROM steps INDEXED BY steps_open
WHERE action = ?2 AND namespace = ?1 AND status <> 6
GROUP BY status
