SELECT run, node, queue, rank, namespace
FROM quintet.queue
WHERE (run, node) > ($1, $2)
ORDER BY run, node
LIMIT $3
