-- Open letters of some step runs are so no longer. Said in another way than in the index of open ones, or that one would be
-- read from one end to the other.
UPDATE quintet.dead_letters AS d
SET retried_at = $3
FROM unnest($1, $2) AS i (run, node)
WHERE d.run = i.run AND d.node = i.node AND num_nulls(d.retried_at) = 1
