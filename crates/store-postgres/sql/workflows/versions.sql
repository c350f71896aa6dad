SELECT version, document, digest, created_at
FROM quintet.workflow_versions
WHERE namespace = $1 AND id = $2
ORDER BY version
