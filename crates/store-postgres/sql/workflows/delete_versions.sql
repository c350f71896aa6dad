-- A statement of its own after workflows/delete, so that it sees what was stored until that one had the row.
DELETE FROM quintet.workflow_versions
WHERE namespace = $1 AND id = $2 AND NOT EXISTS (
    SELECT FROM quintet.workflows AS w WHERE w.namespace = $1 AND w.id = $2
)
