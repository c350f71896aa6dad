SELECT rank, run, node, namespace
FROM queue INDEXED BY queue_by_action
WHERE action = ?1
ORDER BY rank, run, node
LIMIT ?2
