DELETE FROM steps
WHERE run = ?1
