SELECT id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at
FROM runs INDEXED BY runs_by_workflow
WHERE namespace = ?1 AND workflow = ?6 AND workflow <> '' AND (finished_at IS NULL) = ?9 AND id < ?2
    AND (?3 >> status) & 1
    AND (?4 IS NULL OR created_at >= ?4)
    AND (?5 IS NULL OR created_at < ?5)
    AND (?8 IS NULL OR (claims > 0) = ?8)
ORDER BY id DESC
LIMIT ?7
