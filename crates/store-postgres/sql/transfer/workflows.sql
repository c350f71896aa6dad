-- The third of the three tells the first place of all from the one behind a workflow without a name.
SELECT namespace, id, name, version, created_at
FROM quintet.workflows
WHERE (namespace, id, 1::bigint) > ($1, $2, $3)
ORDER BY namespace, id
LIMIT $4
