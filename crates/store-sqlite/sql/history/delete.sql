DELETE FROM history
WHERE run = ?1
