-- As in transfer/workflows.
SELECT request, answer, namespace, scope, key, expires_at
FROM idempotency
WHERE (namespace, scope, key, 1) > (?1, ?2, ?3, ?4)
ORDER BY namespace, scope, key
LIMIT ?5
