SELECT namespace, kind, id, version, body, expires_at, created_at, updated_at
FROM records
WHERE namespace = ?1 AND kind = ?2 AND id = ?3
