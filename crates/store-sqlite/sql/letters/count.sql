SELECT count(*)
FROM dead_letters
WHERE namespace = ?1
    AND (?2 IS NULL OR workflow = ?2)
    AND (?3 IS NULL OR queue = ?3)
