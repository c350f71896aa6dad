SELECT namespace, id, version, document, digest, created_at
FROM workflow_versions
WHERE (namespace, id, version) > (?1, ?2, ?3)
ORDER BY namespace, id, version
LIMIT ?4
