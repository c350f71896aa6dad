-- Runs of workflows whose ids begin with $6: the workflows one after the other, by a jump through the index to the next, and
-- of each as many as the page may hold. The names alone are looked at here, so what lies beyond the last is read once.
WITH RECURSIVE names AS (
    (
        SELECT workflow
        FROM quintet.runs
        WHERE namespace = $1 AND workflow >= $6 AND workflow <> ''
        ORDER BY namespace, workflow
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT r.workflow
        FROM quintet.runs AS r
        WHERE r.namespace = $1 AND r.workflow > n.workflow AND r.workflow <> ''
        ORDER BY r.namespace, r.workflow
        LIMIT 1
    )
    FROM names AS n
    WHERE starts_with(n.workflow, $6)
)
SELECT r.*
FROM names AS n
    CROSS JOIN LATERAL (
        SELECT id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at
        FROM quintet.runs
        WHERE namespace = $1 AND workflow = n.workflow AND workflow <> '' AND id <= $2
            AND ($3 >> status) & 1 = 1
            AND ($4 IS NULL OR created_at >= $4)
            AND ($5 IS NULL OR created_at < $5)
            AND ($8 IS NULL OR (claims > 0) = $8)
        ORDER BY namespace DESC, workflow DESC, id DESC
        LIMIT $7
    ) AS r
WHERE starts_with(n.workflow, $6)
ORDER BY r.id DESC
LIMIT $7
