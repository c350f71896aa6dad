SELECT (SELECT count(*) FROM quintet.plans),
    (SELECT count(*) FROM quintet.workflows),
    (SELECT count(*) FROM quintet.workflow_versions),
    (SELECT count(*) FROM quintet.runs),
    (SELECT count(*) FROM quintet.history),
    (SELECT count(*) FROM quintet.queue),
    (SELECT count(*) FROM quintet.idempotency),
    (SELECT count(*) FROM quintet.outbox)
