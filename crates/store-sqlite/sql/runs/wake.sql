UPDATE runs
SET status = ?2, version = ?3, claims = ?4, updated_at = ?5, wake_at = ?6
WHERE id = ?1
