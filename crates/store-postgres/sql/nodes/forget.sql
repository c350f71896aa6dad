WITH words AS (
    DELETE FROM quintet.notices
    WHERE owner = $1
)
DELETE FROM quintet.nodes
WHERE owner = $1
