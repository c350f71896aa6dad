-- The first of each queue, and the first of all of them: at most as many rows are locked as the queues are asked for, and
-- claimers beside this one step over them.
WITH first AS (
    SELECT q.run, q.node
    FROM unnest($1, $2) AS a (queue, wanted)
        CROSS JOIN LATERAL (
            SELECT run, node, rank
            FROM quintet.queue
            WHERE queue = a.queue AND (taken_by IS NULL OR taken_by = $4 OR taken_until <= $3)
            ORDER BY queue, rank, run, node
            LIMIT a.wanted
            FOR UPDATE SKIP LOCKED
        ) AS q
    ORDER BY q.rank, q.run, q.node
    LIMIT $6
), taken AS (
    UPDATE quintet.queue AS q
    SET taken_by = $4, taken_until = $5
    FROM first
    WHERE q.run = first.run AND q.node = first.node
    RETURNING q.namespace, q.run, q.node, q.queue, q.rank
)
SELECT namespace, run, node, queue
FROM taken
ORDER BY rank, run, node
