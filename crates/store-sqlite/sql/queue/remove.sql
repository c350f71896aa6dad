DELETE FROM queue
WHERE run = ?1 AND node = ?2
