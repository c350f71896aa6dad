SELECT rank, run, node
FROM queue INDEXED BY queue_in_turn
WHERE queue = ?1 AND namespace = ?2
ORDER BY rank, run, node
LIMIT ?3
