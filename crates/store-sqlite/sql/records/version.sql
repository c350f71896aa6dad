SELECT version
FROM records
WHERE namespace = ?1 AND kind = ?2 AND id = ?3
