-- By state, and when the oldest was made of those that wait (1 is enqueued, 5 waits for its next attempt). Settled ones are
-- counted without their rows.
SELECT status, count(*), min(created_at) FILTER (WHERE status IN (1, 5))
FROM quintet.steps
WHERE namespace = $1 AND outcome IS NULL AND action = $2
GROUP BY status
UNION ALL
SELECT o.outcome, s.steps, NULL
FROM (VALUES (6::smallint), (7::smallint), (8::smallint), (9::smallint), (10::smallint)) AS o (outcome)
    CROSS JOIN LATERAL (
        SELECT count(*) AS steps
        FROM quintet.steps
        WHERE namespace = $1 AND outcome = o.outcome AND action = $2
    ) AS s
WHERE s.steps > 0
