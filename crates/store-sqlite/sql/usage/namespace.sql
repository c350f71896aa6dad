-- Runs of the default namespace have no index of their own, so one of the first two counts looks at every run, and the
-- other at none.
SELECT (SELECT count(*) FROM runs INDEXED BY runs_live WHERE finished_at IS NULL AND namespace = ?1),
    (SELECT count(*) FROM runs WHERE ?1 = 'default' AND namespace = 'default')
        + (SELECT count(*) FROM runs INDEXED BY runs_by_namespace WHERE namespace = ?1 AND namespace <> 'default'),
    (SELECT count(*) FROM workflows WHERE namespace = ?1),
    (SELECT count(*) FROM records WHERE namespace = ?1),
    (SELECT count(*) FROM dead_letters WHERE namespace = ?1),
    (SELECT coalesce(sum(octet_length(document)), 0) FROM workflow_versions WHERE namespace = ?1)
        + (SELECT coalesce(sum(octet_length(body)), 0) FROM records WHERE namespace = ?1)
        + (SELECT coalesce(sum(octet_length(body)), 0) FROM dead_letters WHERE namespace = ?1)
