DELETE FROM quintet.dead_letters
WHERE (run, node, attempt) IN (
    SELECT run, node, attempt
    FROM quintet.dead_letters
    WHERE failed_at < $1 AND ($2 IS NULL OR namespace = $2)
    ORDER BY run, node, attempt
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
