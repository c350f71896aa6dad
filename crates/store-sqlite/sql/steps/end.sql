-- The states before 6 are those of what is not settled.
UPDATE steps
SET status = 8, updated_at = ?2
WHERE run = ?1 AND status < 6
