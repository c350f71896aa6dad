SELECT namespace, version, status, wake_at, finished_at, workflow, workflow_version, plan, priority, created_at
FROM runs
WHERE id = ?1
