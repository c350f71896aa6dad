-- The second of the two tells the first place of all from the one behind the lowest id.
SELECT id, namespace, workflow, workflow_version, plan, status, version, priority, claims, wake_at, created_at, updated_at, finished_at
FROM quintet.runs
WHERE (id, 1::bigint) > ($1, $2)
ORDER BY id
LIMIT $3
