-- Runs that are moved, each on the version it was decided on. Waiting for a row's lock, PostgreSQL asks the condition
-- again on the newest version of the row: that is the fence. Answers the places of those that were moved.
WITH moved AS (
    UPDATE quintet.runs AS r
    SET workflow = i.workflow, workflow_version = i.workflow_version, plan = i.plan, status = i.status,
        version = i.version, priority = i.priority, claims = i.claims, created_at = i.created_at,
        updated_at = i.updated_at, finished_at = i.finished_at,
        wake_at = CASE
            WHEN i.finished_at IS NULL AND r.finished_at IS NULL AND r.wake_at <= coalesce(i.wake_at, r.wake_at)
            THEN r.wake_at ELSE i.wake_at END,
        owner = CASE WHEN r.claims = 0 OR r.owner = $2 THEN $2 ELSE 0 END,
        taken_by = NULL, taken_until = NULL
    FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) WITH ORDINALITY
        AS i (id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at, events, n)
    WHERE r.id = i.id AND r.version = i.version - 1 AND r.namespace = i.namespace
    RETURNING i.n, i.id, i.version, i.events
), written AS (
    INSERT INTO quintet.history (run, seq, at, owner, events)
    SELECT id, version, $1, $2, events
    FROM moved
)
SELECT coalesce(array_agg(n), '{}')
FROM moved
