DELETE FROM quintet.queue AS q
USING unnest($1, $2) AS x (run, node)
WHERE q.run = x.run AND q.node = x.node
