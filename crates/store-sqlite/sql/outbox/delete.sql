DELETE FROM outbox
WHERE id = ?1
RETURNING target, key, state
