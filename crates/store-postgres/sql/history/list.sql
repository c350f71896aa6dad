SELECT seq, at, owner, events
FROM quintet.history
WHERE run = $1 AND seq > $2
ORDER BY run, seq
LIMIT $3
