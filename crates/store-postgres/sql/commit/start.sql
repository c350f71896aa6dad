-- Runs that are started, unless the workflow they count on has another version by now. One that exists already breaks
-- the primary key and with it the whole commit, which then goes the long way. Answers the places of those started.
WITH stale AS (
    SELECT p.n
    FROM unnest($18, $19, $20) WITH ORDINALITY AS p (namespace, id, version, n)
    WHERE NOT EXISTS (
        SELECT FROM quintet.workflows AS w
        WHERE w.namespace = p.namespace AND w.id = p.id AND w.version = p.version
    )
), accepted AS MATERIALIZED (
    SELECT i.*
    FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) WITH ORDINALITY
        AS i (id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at, events, pin, n)
    WHERE NOT coalesce(i.pin IN (SELECT n FROM stale), false)
), started AS (
    INSERT INTO quintet.runs (id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at, owner)
    SELECT id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at, $2
    FROM accepted
), written AS (
    INSERT INTO quintet.history (run, seq, at, owner, events)
    SELECT id, version, $1, $2, events
    FROM accepted
)
SELECT coalesce(array_agg(n), '{}')
FROM accepted
