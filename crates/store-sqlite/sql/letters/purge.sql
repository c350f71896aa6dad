DELETE FROM dead_letters
WHERE (run, node, attempt) IN (
    SELECT run, node, attempt
    FROM dead_letters INDEXED BY dead_letters_by_time
    WHERE failed_at < ?2 AND (?1 IS NULL OR namespace = ?1)
    ORDER BY failed_at
    LIMIT ?3
)
