-- Only an empty store becomes a target, and it is another store from then on.
UPDATE quintet.origin
SET id = substr(sha256(convert_to(concat_ws(' ', random(), random(), clock_timestamp(), pg_backend_pid()), 'UTF8')), 1, 16),
    source = $1, reached = $2
WHERE one = 1 AND reached IS NULL
    AND NOT EXISTS (SELECT 1 FROM quintet.plans)
    AND NOT EXISTS (SELECT 1 FROM quintet.workflows)
    AND NOT EXISTS (SELECT 1 FROM quintet.workflow_versions)
    AND NOT EXISTS (SELECT 1 FROM quintet.runs)
    AND NOT EXISTS (SELECT 1 FROM quintet.history)
    AND NOT EXISTS (SELECT 1 FROM quintet.queue)
    AND NOT EXISTS (SELECT 1 FROM quintet.idempotency)
    AND NOT EXISTS (SELECT 1 FROM quintet.outbox)
    AND NOT EXISTS (SELECT 1 FROM quintet.steps)
    AND NOT EXISTS (SELECT 1 FROM quintet.dead_letters)
    AND NOT EXISTS (SELECT 1 FROM quintet.records)
