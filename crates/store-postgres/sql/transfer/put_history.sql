INSERT INTO quintet.history (run, seq, at, owner, events)
SELECT h.*
FROM unnest($1, $2, $3, $4, $5) AS h (run, seq, at, owner, events)
