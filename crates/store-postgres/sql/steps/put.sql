-- A row that was there keeps the time when it was made.
INSERT INTO quintet.steps AS s (run, node, namespace, workflow, step, action, queue, status, attempt, priority, created_at, updated_at)
SELECT i.*
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    AS i (run, node, namespace, workflow, step, action, queue, status, attempt, priority, created_at, updated_at)
ON CONFLICT (run, node) DO UPDATE
    SET namespace = excluded.namespace, workflow = excluded.workflow, step = excluded.step, action = excluded.action,
        queue = excluded.queue, status = excluded.status, attempt = excluded.attempt, priority = excluded.priority,
        updated_at = excluded.updated_at
