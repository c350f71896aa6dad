-- Rows that this transaction has locked. What is set is as in commit/move.
UPDATE quintet.runs AS r
SET workflow = i.workflow, workflow_version = i.workflow_version, plan = i.plan, status = i.status,
    version = i.version, priority = i.priority, claims = i.claims, created_at = i.created_at,
    updated_at = i.updated_at, finished_at = i.finished_at,
    wake_at = CASE
        WHEN i.finished_at IS NULL AND r.finished_at IS NULL AND r.wake_at <= coalesce(i.wake_at, r.wake_at)
        THEN r.wake_at ELSE i.wake_at END,
    owner = CASE WHEN r.claims = 0 OR r.owner = $1 THEN $1 ELSE 0 END,
    taken_by = NULL, taken_until = NULL
FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) AS i (id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at)
WHERE r.id = i.id
