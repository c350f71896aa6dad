INSERT INTO quintet.history (run, seq, at, owner, events)
SELECT h.run, h.seq, $1, $2, h.events
FROM unnest($3, $4, $5) AS h (run, seq, events)
