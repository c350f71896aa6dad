UPDATE runs
SET wake_at = ?3
WHERE id = ?1 AND version = ?2 AND finished_at IS NULL AND wake_at IS NOT ?3
