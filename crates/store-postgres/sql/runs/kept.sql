-- Whether a range of ids holds a run that retention may not remove yet.
SELECT EXISTS (
    SELECT
    FROM quintet.runs
    WHERE id >= $1 AND id <= $2 AND (finished_at IS NULL OR finished_at >= $3)
)
