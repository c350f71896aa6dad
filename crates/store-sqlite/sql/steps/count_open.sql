SELECT count(*)
FROM steps INDEXED BY steps_open
WHERE action = ?2 AND status <> 6
    AND status IN (
        SELECT column1
        FROM (VALUES (0), (1), (2), (3), (4), (5), (7), (8), (9), (10))
        WHERE (?5 >> column1) & 1
    )
    AND namespace = ?1
    AND (?3 IS NULL OR queue = ?3)
    AND (?4 IS NULL OR run = ?4)
