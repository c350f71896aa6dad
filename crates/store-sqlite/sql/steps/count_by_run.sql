SELECT count(*)
FROM steps
WHERE run = ?4 AND namespace = ?1
    AND (?2 IS NULL OR action = ?2)
    AND (?3 IS NULL OR queue = ?3)
    AND (?5 >> status) & 1
