-- What units say of steps, after commit/all has applied them or left them out: of a run that it wrote, the row is of this
-- transaction. A statement of its own, because most commits have no such rows, and commit/all costs by its length.
-- Answers how many steps ended with their runs.
WITH moved AS MATERIALIZED (
    SELECT r.id
    FROM unnest($2) AS i (id)
        JOIN quintet.runs AS r ON r.id = i.id
    WHERE r.xmin = (pg_catalog.txid_current() & 4294967295)::text::xid
), put AS (
    INSERT INTO quintet.steps AS s (run, node, namespace, workflow, step, action, queue, status, attempt, priority, created_at, updated_at)
    SELECT i.*
    FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        AS i (run, node, namespace, workflow, step, action, queue, status, attempt, priority, created_at, updated_at)
    WHERE coalesce(i.run IN (SELECT id FROM moved), false)
    ON CONFLICT (run, node) DO UPDATE
        SET namespace = excluded.namespace, workflow = excluded.workflow, step = excluded.step, action = excluded.action,
            queue = excluded.queue, status = excluded.status, attempt = excluded.attempt, priority = excluded.priority,
            updated_at = excluded.updated_at
), ended AS (
    -- As steps/end, but for the rows that are put: those are as they should be.
    UPDATE quintet.steps AS s
    SET status = 8, updated_at = $1
    FROM unnest($15) AS e (run)
    WHERE s.run = e.run AND s.status < 6 AND coalesce(e.run IN (SELECT id FROM moved), false)
        AND NOT coalesce((s.run, s.node) IN (SELECT w.run, w.node FROM unnest($3, $4) AS w (run, node)), false)
    RETURNING 1
), buried AS (
    INSERT INTO quintet.dead_letters (run, node, attempt, namespace, workflow, step, queue, body, failed_at, retried_at)
    SELECT l.*
    FROM unnest($16, $17, $18, $19, $20, $21, $22, $23, $24, $25)
        AS l (run, node, attempt, namespace, workflow, step, queue, body, failed_at, retried_at)
    WHERE coalesce(l.run IN (SELECT id FROM moved), false)
    ON CONFLICT (run, node, attempt) DO UPDATE
        SET namespace = excluded.namespace, workflow = excluded.workflow, step = excluded.step, queue = excluded.queue,
            body = excluded.body, failed_at = excluded.failed_at, retried_at = excluded.retried_at
)
SELECT count(*)
FROM ended
