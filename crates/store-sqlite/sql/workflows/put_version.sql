INSERT INTO workflow_versions (namespace, id, version, document, digest, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
