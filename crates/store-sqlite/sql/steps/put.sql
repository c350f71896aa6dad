INSERT INTO steps (run, node, namespace, workflow, step, action, queue, status, attempt, priority, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT (run, node)
    DO UPDATE SET namespace = excluded.namespace, workflow = excluded.workflow, step = excluded.step, action = excluded.action,
        queue = excluded.queue, status = excluded.status, attempt = excluded.attempt, priority = excluded.priority,
        updated_at = excluded.updated_at
