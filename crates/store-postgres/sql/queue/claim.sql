-- The namespaces that wait in each queue, from one to the next along the index; the first of each, as many as its share
-- is; and of these one of each namespace in turn. Only what may be given is locked, and claimers beside this one step
-- over it.
WITH RECURSIVE waiting AS (
    SELECT a.queue, a.wanted, (
        SELECT q.namespace
        FROM quintet.queue AS q
        WHERE q.queue = a.queue
        ORDER BY q.queue, q.namespace
        LIMIT 1
    ) AS namespace
    FROM unnest($1, $2) AS a (queue, wanted)
    WHERE a.wanted > 0
    UNION ALL
    SELECT w.queue, w.wanted, (
        SELECT q.namespace
        FROM quintet.queue AS q
        WHERE q.queue = w.queue AND q.namespace > w.namespace
        ORDER BY q.queue, q.namespace
        LIMIT 1
    )
    FROM waiting AS w
    WHERE w.namespace IS NOT NULL
), placed AS (
    SELECT w.queue, w.namespace, w.wanted, w.turn,
        row_number() OVER (PARTITION BY w.queue ORDER BY w.turn, w.namespace) AS place,
        count(*) OVER (PARTITION BY w.queue) AS namespaces
    FROM (
        SELECT *, coalesce(array_position($7, namespace), 0) AS turn
        FROM waiting
        WHERE namespace IS NOT NULL AND namespace <> ALL ($8)
    ) AS w
), given AS (
    SELECT q.run, q.node, q.rank, p.namespace, p.turn
    FROM placed AS p
        CROSS JOIN LATERAL (
            SELECT run, node, rank
            FROM quintet.queue
            WHERE queue = p.queue AND namespace = p.namespace
                AND (taken_by IS NULL OR taken_by = $4 OR taken_until <= $3)
            ORDER BY queue, namespace, rank, run, node
            LIMIT (p.wanted - 1) / least(p.namespaces, p.wanted) + 1
            FOR UPDATE SKIP LOCKED
        ) AS q
    WHERE p.place <= p.wanted
), dealt AS (
    SELECT run, node, turn, row_number() OVER (PARTITION BY namespace ORDER BY rank, run, node) AS round
    FROM given
    ORDER BY round, turn, rank, run, node
    LIMIT $6
), taken AS (
    UPDATE quintet.queue AS q
    SET taken_by = $4, taken_until = $5
    FROM dealt
    WHERE q.run = dealt.run AND q.node = dealt.node
    RETURNING q.namespace, q.run, q.node, q.queue, q.rank, dealt.round, dealt.turn
)
SELECT namespace, run, node, queue
FROM taken
ORDER BY round, turn, rank, run, node
