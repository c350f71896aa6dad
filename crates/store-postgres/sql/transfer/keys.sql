-- As transfer/history and transfer/workflows.
SELECT request, answer, namespace, scope, key, expires_at, found
FROM (
    SELECT request, answer, namespace, scope, key, expires_at, count(*) OVER () AS found,
        sum(octet_length(answer)) OVER (ORDER BY namespace, scope, key ROWS UNBOUNDED PRECEDING) - octet_length(answer) AS bytes_before
    FROM (
        SELECT request, answer, namespace, scope, key, expires_at
        FROM quintet.idempotency
        WHERE (namespace, scope, key, 1::bigint) > ($1, $2, $3, $4)
        ORDER BY namespace, scope, key
        LIMIT $5
    ) AS ahead
) AS page
WHERE bytes_before < $6
ORDER BY namespace, scope, key
