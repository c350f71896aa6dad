-- As in transfer/workflows.
SELECT namespace, kind, id, version, body, expires_at, created_at, updated_at
FROM records
WHERE (namespace, kind, id, 1) > (?1, ?2, ?3, ?4)
ORDER BY namespace, kind, id
LIMIT ?5
