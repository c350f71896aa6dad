INSERT INTO quintet.workflow_versions (namespace, id, version, document, digest, created_at)
SELECT v.*
FROM unnest($1, $2, $3, $4, $5, $6) AS v (namespace, id, version, document, digest, created_at)
