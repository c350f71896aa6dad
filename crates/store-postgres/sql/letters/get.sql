-- Of one attempt, or the latest.
SELECT run, node, attempt, namespace, workflow, step, queue, body, failed_at, retried_at
FROM quintet.dead_letters
WHERE run = $1 AND node = $2 AND namespace = $3 AND ($4 IS NULL OR attempt = $4)
ORDER BY run DESC, node DESC, attempt DESC
LIMIT 1
