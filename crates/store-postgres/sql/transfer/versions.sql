-- As transfer/history.
SELECT namespace, id, version, document, digest, created_at, found
FROM (
    SELECT namespace, id, version, document, digest, created_at, count(*) OVER () AS found,
        sum(octet_length(document)) OVER (ORDER BY namespace, id, version ROWS UNBOUNDED PRECEDING) - octet_length(document) AS bytes_before
    FROM (
        SELECT namespace, id, version, document, digest, created_at
        FROM quintet.workflow_versions
        WHERE (namespace, id, version) > ($1, $2, $3)
        ORDER BY namespace, id, version
        LIMIT $4
    ) AS ahead
) AS page
WHERE bytes_before < $5
ORDER BY namespace, id, version
