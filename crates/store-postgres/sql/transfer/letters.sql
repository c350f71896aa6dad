-- As transfer/history.
SELECT run, node, attempt, namespace, workflow, step, queue, body, failed_at, retried_at, found
FROM (
    SELECT run, node, attempt, namespace, workflow, step, queue, body, failed_at, retried_at, count(*) OVER () AS found,
        sum(octet_length(body)) OVER (ORDER BY run, node, attempt ROWS UNBOUNDED PRECEDING) - octet_length(body) AS bytes_before
    FROM (
        SELECT run, node, attempt, namespace, workflow, step, queue, body, failed_at, retried_at
        FROM quintet.dead_letters
        WHERE (run, node, attempt) > ($1, $2, $3)
        ORDER BY run, node, attempt
        LIMIT $4
    ) AS ahead
) AS page
WHERE bytes_before < $5
ORDER BY run, node, attempt
