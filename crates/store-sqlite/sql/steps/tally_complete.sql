SELECT count(*)
FROM steps
WHERE action = ?2 AND namespace = ?1 AND status = 6
