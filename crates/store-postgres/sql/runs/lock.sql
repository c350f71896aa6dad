SELECT id, namespace, version
FROM quintet.runs
WHERE id = ANY ($1)
ORDER BY id
FOR UPDATE
