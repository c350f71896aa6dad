-- From one namespace to the next along the index: a look for each that waits, however much waits.
WITH RECURSIVE waiting (namespace) AS (
    SELECT (SELECT namespace FROM queue INDEXED BY queue_in_turn WHERE queue = ?1 ORDER BY namespace LIMIT 1)
    UNION ALL
    SELECT (
        SELECT q.namespace
        FROM queue AS q INDEXED BY queue_in_turn
        WHERE q.queue = ?1 AND q.namespace > waiting.namespace
        ORDER BY q.namespace
        LIMIT 1
    )
    FROM waiting
    WHERE waiting.namespace IS NOT NULL
)
SELECT namespace
FROM waiting
WHERE namespace IS NOT NULL
