INSERT INTO quintet.notices (owner, run)
SELECT t.owner, t.run
FROM unnest($1, $2) AS t (owner, run)
ORDER BY t.owner, t.run
ON CONFLICT (owner, run) DO NOTHING
