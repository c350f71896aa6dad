UPDATE outbox
SET state = 1
WHERE id = (
    SELECT id
    FROM outbox INDEXED BY outbox_in_order
    WHERE target = ?1 AND key = ?2 AND state < 2
    ORDER BY id
    LIMIT 1
)
