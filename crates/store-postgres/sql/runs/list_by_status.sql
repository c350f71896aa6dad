SELECT id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at
FROM quintet.runs
WHERE namespace = $1 AND outcome = $3 AND id <= $2
    AND ($4 IS NULL OR created_at >= $4)
    AND ($5 IS NULL OR created_at < $5)
    AND ($9 IS NULL OR (claims > 0) = $9)
    AND ($6 IS NULL OR workflow = $6)
    AND ($8 IS NULL OR starts_with(workflow, $8))
ORDER BY namespace DESC, outcome DESC, id DESC
LIMIT $7
