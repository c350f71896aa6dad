-- Those that this transaction did not find. Whoever was faster breaks the primary key.
INSERT INTO quintet.records (namespace, kind, id, version, body, expires_at, created_at, updated_at)
SELECT i.*
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS i (namespace, kind, id, version, body, expires_at, created_at, updated_at)
ORDER BY i.namespace, i.kind, i.id
