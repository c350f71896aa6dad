DELETE FROM workflows
WHERE namespace = ?1 AND id = ?2
