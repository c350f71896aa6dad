SELECT version, created_at
FROM workflows
WHERE namespace = ?1 AND id = ?2
