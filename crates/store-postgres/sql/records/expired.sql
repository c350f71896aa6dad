SELECT namespace, kind, id, version, body, expires_at, created_at, updated_at
FROM quintet.records
WHERE kind = $1 AND expires_at <= $2
ORDER BY kind, expires_at, namespace, id
LIMIT $3
