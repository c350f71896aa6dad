SELECT namespace, kind, id, version, body, expires_at, created_at, updated_at
FROM records INDEXED BY records_by_expiry
WHERE kind = ?1 AND expires_at <= ?2
ORDER BY expires_at, namespace, id
LIMIT ?3
