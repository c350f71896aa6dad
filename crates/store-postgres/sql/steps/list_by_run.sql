-- As steps/list, of one run: the condition on the namespace is none that an index could be asked for.
WITH fitting AS NOT MATERIALIZED (
    SELECT run, node, priority, created_at
    FROM quintet.steps
    WHERE run = $6 AND (namespace = $1) IS TRUE AND (($2 >> status) & 1 = 1 OR outcome = ANY ($3))
        AND ($4 IS NULL OR action = $4)
        AND ($5 IS NULL OR queue = $5)
)
SELECT s.run, s.node, s.namespace, s.workflow, s.step, s.action, s.queue, s.status, s.attempt, s.priority, s.created_at, s.updated_at, t.total
FROM (SELECT count(*) AS total FROM fitting) AS t
    LEFT JOIN LATERAL (
        SELECT run, node
        FROM fitting
        ORDER BY priority DESC, created_at, run, node
        OFFSET $7
        LIMIT $8
    ) AS p ON true
    LEFT JOIN quintet.steps AS s ON s.run = p.run AND s.node = p.node
ORDER BY s.priority DESC, s.created_at, s.run, s.node
