-- Only an empty store becomes a target, and it is another store from then on.
UPDATE origin
SET id = randomblob(16), source = ?1, reached = ?2
WHERE one = 1 AND reached IS NULL
    AND NOT EXISTS (SELECT 1 FROM plans)
    AND NOT EXISTS (SELECT 1 FROM workflows)
    AND NOT EXISTS (SELECT 1 FROM workflow_versions)
    AND NOT EXISTS (SELECT 1 FROM runs)
    AND NOT EXISTS (SELECT 1 FROM history)
    AND NOT EXISTS (SELECT 1 FROM queue)
    AND NOT EXISTS (SELECT 1 FROM idempotency)
    AND NOT EXISTS (SELECT 1 FROM outbox)
    AND NOT EXISTS (SELECT 1 FROM steps)
    AND NOT EXISTS (SELECT 1 FROM dead_letters)
    AND NOT EXISTS (SELECT 1 FROM records)
