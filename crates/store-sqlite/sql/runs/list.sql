SELECT id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at
FROM runs
WHERE namespace = ?1 AND id < ?2
    AND (?3 >> status) & 1
    AND (?4 IS NULL OR created_at >= ?4)
    AND (?5 IS NULL OR created_at < ?5)
    AND (?6 IS NULL OR workflow = ?6)
    AND (?8 IS NULL OR workflow >= ?8)
    AND (?9 IS NULL OR workflow < ?9)
    AND (?10 IS NULL OR (claims > 0) = ?10)
ORDER BY id DESC
LIMIT ?7
