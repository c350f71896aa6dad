SELECT due_at
FROM outbox INDEXED BY outbox_heads
WHERE state = 1
ORDER BY due_at
LIMIT 1
