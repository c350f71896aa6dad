UPDATE dead_letters
SET retried_at = ?3
WHERE run = ?1 AND node = ?2 AND retried_at IS NULL
