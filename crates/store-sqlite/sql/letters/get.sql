SELECT run, node, attempt, namespace, workflow, step, queue, body, failed_at, retried_at
FROM dead_letters INDEXED BY dead_letters_by_step
WHERE run = ?1 AND node = ?2 AND (?3 IS NULL OR attempt = ?3) AND namespace = ?4
ORDER BY attempt DESC
LIMIT 1
