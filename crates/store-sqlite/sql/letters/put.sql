INSERT INTO dead_letters (run, node, attempt, namespace, workflow, step, queue, body, failed_at, retried_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (run, node, attempt)
    DO UPDATE SET namespace = excluded.namespace, workflow = excluded.workflow, step = excluded.step, queue = excluded.queue,
        body = excluded.body, failed_at = excluded.failed_at, retried_at = excluded.retried_at
