-- The first of each action, and the first of all of them: at most as many rows are locked as there are actions times the
-- limit, and claimers beside this one step over them.
WITH first AS (
    SELECT q.run, q.node
    FROM unnest($1) AS a (action)
        CROSS JOIN LATERAL (
            SELECT run, node, rank
            FROM quintet.queue
            WHERE action = a.action AND (taken_by IS NULL OR taken_by = $3 OR taken_until <= $2)
            ORDER BY action, rank, run, node
            LIMIT $5
            FOR UPDATE SKIP LOCKED
        ) AS q
    ORDER BY q.rank, q.run, q.node
    LIMIT $5
), taken AS (
    UPDATE quintet.queue AS q
    SET taken_by = $3, taken_until = $4
    FROM first
    WHERE q.run = first.run AND q.node = first.node
    RETURNING q.namespace, q.run, q.node, q.action, q.rank
)
SELECT namespace, run, node, action
FROM taken
ORDER BY rank, run, node
