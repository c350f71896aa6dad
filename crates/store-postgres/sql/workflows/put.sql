-- The row is the lock of a workflow: writers at the same time come one after the other, and the condition is asked of
-- what the one before left. Without a row there is nothing to wait for but the primary key, so that conflict is an update.
-- Answers the new version and when the first one was stored, or nothing.
WITH put AS (
    INSERT INTO quintet.workflows AS w (namespace, id, name, version, created_at)
    SELECT $1, $2, $3, 1, $7
    WHERE coalesce($8, 0) = 0 OR EXISTS (
        SELECT FROM quintet.workflows AS o WHERE o.namespace = $1 AND o.id = $2
    )
    ON CONFLICT (namespace, id) DO UPDATE SET name = excluded.name, version = w.version + 1
        WHERE $8 IS NULL OR w.version = $8
    RETURNING version, created_at
), versioned AS (
    INSERT INTO quintet.workflow_versions (namespace, id, version, document, digest, created_at)
    SELECT $1, $2, version, $4, $5, $7
    FROM put
), planned AS (
    INSERT INTO quintet.plans (digest, spec)
    SELECT $5, $6
    FROM put
    ON CONFLICT DO NOTHING
)
SELECT version, created_at
FROM put
