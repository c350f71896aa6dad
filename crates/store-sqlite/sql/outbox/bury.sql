UPDATE outbox
SET attempts = attempts + 1, state = 2, error = ?2
WHERE id = ?1 AND state < 2
RETURNING target, key
