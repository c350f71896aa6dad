WITH failed AS (
    UPDATE quintet.outbox
    SET attempts = attempts + 1, due_at = $3, error = $2
    WHERE id = ANY ($1) AND state = 0
    RETURNING id, target, key
), later AS (
    UPDATE quintet.outbox_streams AS s
    SET due_at = $3, taken_by = NULL, taken_until = NULL
    FROM failed AS f
    WHERE s.target = f.target AND s.key = f.key AND s.head = f.id
)
SELECT count(*)
FROM failed
