UPDATE runs
SET namespace = ?2, workflow = ?3, workflow_version = ?4, plan = ?5, status = ?6, version = ?7, priority = ?8,
    claims = ?9, wake_at = ?10, created_at = ?11, updated_at = ?12, finished_at = ?13
WHERE id = ?1
