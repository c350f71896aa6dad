SELECT id, target, key, message_id, body, attempts, created_at
FROM outbox INDEXED BY outbox_heads
WHERE state = 1 AND due_at <= ?1
ORDER BY due_at, id
