SELECT (SELECT count(*) FROM plans),
    (SELECT count(*) FROM workflows),
    (SELECT count(*) FROM workflow_versions),
    (SELECT count(*) FROM runs),
    (SELECT count(*) FROM history),
    (SELECT count(*) FROM queue),
    (SELECT count(*) FROM idempotency),
    (SELECT count(*) FROM outbox)
