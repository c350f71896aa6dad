INSERT INTO outbox (id, target, key, message_id, body, attempts, due_at, created_at, state)
VALUES (
    ?1, ?2, ?3, ?4, ?5, 0, ?6, ?6,
    NOT EXISTS (
        SELECT 1
        FROM outbox INDEXED BY outbox_in_order
        WHERE target = ?2 AND key = ?3 AND state < 2
    )
)
