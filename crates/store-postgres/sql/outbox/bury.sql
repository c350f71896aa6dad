-- Gives a message up; what comes after it is as in outbox/deliver.
WITH gone AS (
    UPDATE quintet.outbox
    SET attempts = attempts + 1, state = 2, error = $2
    WHERE id = ANY ($1) AND state = 0
    RETURNING id, target, key
),
heads AS MATERIALIZED (
    SELECT s.target, s.key, n.id, n.due_at
    FROM gone AS g
        JOIN quintet.outbox_streams AS s ON s.target = g.target AND s.key = g.key AND s.head = g.id
        LEFT JOIN LATERAL (
            SELECT m.id, m.due_at
            FROM quintet.outbox AS m
            WHERE m.target = g.target AND m.key = g.key AND m.state = 0 AND m.id <> ALL ($1)
            ORDER BY m.target, m.key, m.id
            LIMIT 1
        ) AS n ON true
), ended AS (
    DELETE FROM quintet.outbox_streams AS s
    USING heads AS h
    WHERE h.id IS NULL AND s.target = h.target AND s.key = h.key
), moved AS (
    UPDATE quintet.outbox_streams AS s
    SET head = h.id, due_at = h.due_at, taken_by = NULL, taken_until = NULL
    FROM heads AS h
    WHERE h.id IS NOT NULL AND s.target = h.target AND s.key = h.key
)
SELECT count(*)
FROM gone
