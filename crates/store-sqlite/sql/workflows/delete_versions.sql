DELETE FROM workflow_versions
WHERE namespace = ?1 AND id = ?2
