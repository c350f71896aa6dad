SELECT id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at
FROM quintet.runs
WHERE namespace = $1 AND workflow = $6 AND workflow <> '' AND id <= $2
    AND ($3 >> status) & 1 = 1
    AND ($4 IS NULL OR created_at >= $4)
    AND ($5 IS NULL OR created_at < $5)
    AND ($8 IS NULL OR (claims > 0) = $8)
ORDER BY namespace DESC, workflow DESC, id DESC
LIMIT $7
