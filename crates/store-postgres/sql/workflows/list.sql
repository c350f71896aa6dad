SELECT w.id, w.name, w.version, v.document, v.digest, w.created_at, v.created_at
FROM quintet.workflows AS w
    JOIN quintet.workflow_versions AS v ON v.namespace = w.namespace AND v.id = w.id AND v.version = w.version
WHERE w.namespace = $1 AND w.id >= $2
ORDER BY w.namespace, w.id
LIMIT $3
