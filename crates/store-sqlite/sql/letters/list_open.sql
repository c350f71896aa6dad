SELECT run, node, attempt, namespace, workflow, step, queue, body, failed_at, retried_at
FROM dead_letters INDEXED BY dead_letters_open
WHERE namespace = ?1 AND retried_at IS NULL
    AND (?2 IS NULL OR workflow = ?2)
    AND (?3 IS NULL OR queue = ?3)
ORDER BY failed_at DESC, run DESC, node DESC, attempt DESC
LIMIT ?4 OFFSET ?5
