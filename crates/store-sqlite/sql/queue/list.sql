SELECT rank, run, node, namespace
FROM queue INDEXED BY queue_in_order
WHERE queue = ?1
ORDER BY rank, run, node
LIMIT ?2
