SELECT run, node, namespace, workflow, step, action, queue, status, attempt, priority, created_at, updated_at
FROM steps
WHERE (run, node) > (?1, ?2)
ORDER BY run, node
LIMIT ?3
