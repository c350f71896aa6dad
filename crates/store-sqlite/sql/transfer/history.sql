SELECT seq, at, owner, events, run
FROM history
WHERE (run, seq) > (?1, ?2)
ORDER BY run, seq
LIMIT ?3
