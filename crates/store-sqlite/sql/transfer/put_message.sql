-- Messages come in their order, so the first one of its target and key that is not given up is the head.
INSERT INTO outbox (id, target, key, message_id, body, attempts, created_at, due_at, error, state)
VALUES (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
    CASE
        WHEN ?10 THEN 2
        ELSE NOT EXISTS (
            SELECT 1
            FROM outbox INDEXED BY outbox_in_order
            WHERE target = ?2 AND key = ?3 AND state < 2
        )
    END
)
