-- Those of some step runs, and of all that belong to some runs, which are in progress.
SELECT s.run, s.node, s.action, s.queue
FROM unnest($1, $2) AS i (run, node)
    JOIN quintet.steps AS s ON s.run = i.run AND s.node = i.node
WHERE s.is_running
UNION ALL
SELECT s.run, s.node, s.action, s.queue
FROM quintet.steps AS s
WHERE s.run = ANY ($3) AND s.is_running
