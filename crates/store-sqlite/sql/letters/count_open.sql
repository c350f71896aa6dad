SELECT count(*)
FROM dead_letters INDEXED BY dead_letters_open
WHERE namespace = ?1 AND retried_at IS NULL
    AND (?2 IS NULL OR workflow = ?2)
    AND (?3 IS NULL OR queue = ?3)
