-- A page and how many there are in all, of one moment. Of states the set bits of $2 are wanted; steps that are not settled
-- and those that are lie in different places of the index. Takes time in proportion to how many there are in those states;
-- unless a queue is asked for, settled ones are counted without their rows.
WITH live AS NOT MATERIALIZED (
    SELECT run, node, priority, created_at
    FROM quintet.steps
    WHERE namespace = $1 AND outcome IS NULL AND ($2 >> status) & 1 = 1
        AND ($4 IS NULL OR action = $4)
        AND ($5 IS NULL OR queue = $5)
), settled AS NOT MATERIALIZED (
    SELECT run, node, priority, created_at
    FROM quintet.steps
    WHERE namespace = $1 AND outcome = ANY ($3)
        AND ($4 IS NULL OR action = $4)
        AND ($5 IS NULL OR queue = $5)
), counted AS (
    SELECT (SELECT count(*) FROM live) + CASE
        WHEN $5 IS NULL THEN (
            SELECT count(*)
            FROM quintet.steps
            WHERE namespace = $1 AND outcome = ANY ($3) AND ($4 IS NULL OR action = $4)
        )
        ELSE (SELECT count(*) FROM settled)
    END AS total
)
SELECT s.run, s.node, s.namespace, s.workflow, s.step, s.action, s.queue, s.status, s.attempt, s.priority, s.created_at, s.updated_at, t.total
FROM counted AS t
    LEFT JOIN LATERAL (
        SELECT run, node
        FROM (SELECT * FROM live UNION ALL SELECT * FROM settled) AS fitting
        ORDER BY priority DESC, created_at, run, node
        OFFSET $6
        LIMIT $7
    ) AS p ON true
    LEFT JOIN quintet.steps AS s ON s.run = p.run AND s.node = p.node
ORDER BY s.priority DESC, s.created_at, s.run, s.node
