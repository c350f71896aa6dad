UPDATE outbox
SET attempts = attempts + 1, due_at = ?2, error = ?3
WHERE id = ?1 AND state < 2
