-- As transfer/history.
SELECT id, target, key, message_id, body, attempts, created_at, due_at, state, error, found
FROM (
    SELECT id, target, key, message_id, body, attempts, created_at, due_at, state, error, count(*) OVER () AS found,
        sum(octet_length(body)) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - octet_length(body) AS bytes_before
    FROM (
        SELECT id, target, key, message_id, body, attempts, created_at, due_at, state, error
        FROM quintet.outbox
        WHERE id > $1
        ORDER BY id
        LIMIT $2
    ) AS ahead
) AS page
WHERE bytes_before < $3
ORDER BY id
