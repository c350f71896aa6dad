-- As transfer/history and transfer/workflows.
SELECT namespace, kind, id, version, body, expires_at, created_at, updated_at, found
FROM (
    SELECT namespace, kind, id, version, body, expires_at, created_at, updated_at, count(*) OVER () AS found,
        sum(octet_length(body)) OVER (ORDER BY namespace, kind, id ROWS UNBOUNDED PRECEDING) - octet_length(body) AS bytes_before
    FROM (
        SELECT namespace, kind, id, version, body, expires_at, created_at, updated_at
        FROM quintet.records
        WHERE (namespace, kind, id, 1::bigint) > ($1, $2, $3, $4)
        ORDER BY namespace, kind, id
        LIMIT $5
    ) AS ahead
) AS page
WHERE bytes_before < $6
ORDER BY namespace, kind, id
