SELECT EXISTS (
    SELECT
    FROM quintet.runs
    WHERE id >= $1 AND id <= $2
)
