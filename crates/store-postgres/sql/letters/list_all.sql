-- As letters/list, with those that were tried again.
WITH fitting AS NOT MATERIALIZED (
    SELECT run, node, attempt, namespace, failed_at
    FROM quintet.dead_letters
    WHERE namespace = $1
        AND ($2 IS NULL OR workflow = $2)
        AND ($3 IS NULL OR queue = $3)
)
SELECT d.run, d.node, d.attempt, d.namespace, d.workflow, d.step, d.queue, d.body, d.failed_at, d.retried_at, t.total
FROM (SELECT count(*) AS total FROM fitting) AS t
    LEFT JOIN LATERAL (
        SELECT run, node, attempt
        FROM fitting
        ORDER BY namespace DESC, failed_at DESC, run DESC, node DESC, attempt DESC
        OFFSET $4
        LIMIT $5
    ) AS p ON true
    LEFT JOIN quintet.dead_letters AS d ON d.run = p.run AND d.node = p.node AND d.attempt = p.attempt
ORDER BY d.failed_at DESC, d.run DESC, d.node DESC, d.attempt DESC
