INSERT INTO quintet.idempotency (namespace, scope, key, request, answer, expires_at)
SELECT i.*
FROM unnest($1, $2, $3, $4, $5, $6) AS i (namespace, scope, key, request, answer, expires_at)
ORDER BY i.namespace, i.scope, i.key
