SELECT seq, at, owner, events
FROM history
WHERE run = ?1 AND seq > ?2
ORDER BY seq
LIMIT ?3
