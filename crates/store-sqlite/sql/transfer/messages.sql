SELECT id, target, key, message_id, body, attempts, created_at, due_at, state = 2, error
FROM outbox
WHERE id > ?1
ORDER BY id
LIMIT ?2
