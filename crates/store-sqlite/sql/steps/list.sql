SELECT run, node, namespace, workflow, step, action, queue, status, attempt, priority, created_at, updated_at
FROM steps
WHERE namespace = ?1
    AND (?2 IS NULL OR action = ?2)
    AND (?3 IS NULL OR queue = ?3)
    AND (?4 IS NULL OR run = ?4)
    AND (?5 >> status) & 1
ORDER BY priority DESC, created_at, run, node
LIMIT ?6 OFFSET ?7
