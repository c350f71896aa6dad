DELETE FROM dead_letters
WHERE run = ?1
