SELECT id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at
FROM quintet.runs
WHERE id = $1 AND namespace = $2
