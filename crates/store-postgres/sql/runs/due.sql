-- Claims by index order; rows that another claimer is at are stepped over.
WITH due AS (
    SELECT id
    FROM quintet.runs
    WHERE finished_at IS NULL AND wake_at <= $1 AND (taken_by IS NULL OR taken_by = $2 OR taken_until <= $1)
    ORDER BY wake_at, id
    LIMIT $4
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE quintet.runs AS r
    SET taken_by = $2, taken_until = $3
    FROM due
    WHERE r.id = due.id
    RETURNING r.namespace, r.id, r.wake_at
)
SELECT namespace, id
FROM taken
ORDER BY wake_at, id
