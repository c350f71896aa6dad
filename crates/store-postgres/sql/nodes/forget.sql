WITH words AS (
    DELETE FROM quintet.notices
    WHERE owner = $1
), messages AS (
    UPDATE quintet.outbox_streams
    SET taken_by = NULL, taken_until = NULL
    WHERE taken_by = $1
)
DELETE FROM quintet.nodes
WHERE owner = $1
