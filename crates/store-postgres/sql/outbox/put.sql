-- As in commit/all.
WITH outgoing AS MATERIALIZED (
    SELECT nextval('quintet.outbox_ids') AS id, m.target, m.key, m.message_id, m.body
    FROM unnest($2, $3, $4, $5) AS m (target, key, message_id, body)
), sent AS (
    INSERT INTO quintet.outbox (id, target, key, message_id, body, attempts, due_at, created_at, state)
    SELECT id, target, key, message_id, body, 0, $1, $1, 0
    FROM outgoing
)
INSERT INTO quintet.outbox_streams AS s (target, key, head, due_at)
SELECT target, key, min(id), $1
FROM outgoing
GROUP BY target, key
ORDER BY target, key
ON CONFLICT (target, key) DO UPDATE SET head = s.head WHERE false
