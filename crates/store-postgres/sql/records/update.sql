-- Rows that this transaction has locked.
UPDATE quintet.records AS r
SET version = i.version, body = i.body, expires_at = i.expires_at, created_at = i.created_at, updated_at = i.updated_at
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS i (namespace, kind, id, version, body, expires_at, created_at, updated_at)
WHERE r.namespace = i.namespace AND r.kind = i.kind AND r.id = i.id
