SELECT run, node, attempt, namespace, workflow, step, queue, body, failed_at, retried_at
FROM dead_letters INDEXED BY dead_letters_by_step
WHERE (run, node, attempt) > (?1, ?2, ?3)
ORDER BY run, node, attempt
LIMIT ?4
