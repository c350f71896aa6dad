INSERT INTO quintet.workflows (namespace, id, name, version, created_at)
SELECT w.*
FROM unnest($1, $2, $3, $4, $5) AS w (namespace, id, name, version, created_at)
