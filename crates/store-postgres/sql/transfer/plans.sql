-- As transfer/history.
SELECT digest, spec, found
FROM (
    SELECT digest, spec, count(*) OVER () AS found,
        sum(octet_length(spec)) OVER (ORDER BY digest ROWS UNBOUNDED PRECEDING) - octet_length(spec) AS bytes_before
    FROM (
        SELECT digest, spec
        FROM quintet.plans
        WHERE digest > $1
        ORDER BY digest
        LIMIT $2
    ) AS ahead
) AS page
WHERE bytes_before < $3
ORDER BY digest
