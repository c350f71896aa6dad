SELECT namespace, kind, id, version, body, expires_at, created_at, updated_at
FROM quintet.records
WHERE namespace = $1 AND kind = $2 AND id = $3
