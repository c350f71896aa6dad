SELECT id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at
FROM runs
WHERE id > ?1
ORDER BY id
LIMIT ?2
