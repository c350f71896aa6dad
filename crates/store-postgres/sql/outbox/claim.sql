WITH due AS (
    SELECT target, key
    FROM quintet.outbox_streams
    WHERE due_at <= $1 AND (taken_by IS NULL OR taken_by = $2 OR taken_until <= $1)
        AND head <> ALL ($5) AND (target = ANY ($6)) = $7
    ORDER BY due_at, head
    LIMIT $4
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE quintet.outbox_streams AS s
    SET taken_by = $2, taken_until = $3
    FROM due
    WHERE s.target = due.target AND s.key = due.key
    RETURNING s.head, s.due_at
)
SELECT m.id, m.target, m.key, m.message_id, m.body, m.attempts, m.created_at
FROM taken
    JOIN quintet.outbox AS m ON m.id = taken.head
ORDER BY taken.due_at, m.id
