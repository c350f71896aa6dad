-- Messages come in their order, so the first one of its target and key that is not given up is the head of their stream.
WITH came AS MATERIALIZED (
    SELECT m.*
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        AS m (id, target, key, message_id, body, attempts, created_at, due_at, state, error)
), put AS (
    INSERT INTO quintet.outbox (id, target, key, message_id, body, attempts, created_at, due_at, state, error)
    SELECT *
    FROM came
)
INSERT INTO quintet.outbox_streams (target, key, head, due_at)
SELECT DISTINCT ON (target, key) target, key, id, due_at
FROM came
WHERE state = 0
ORDER BY target, key, id
ON CONFLICT (target, key) DO NOTHING
