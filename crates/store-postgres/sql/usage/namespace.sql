SELECT (SELECT count(*) FROM quintet.runs WHERE namespace = $1 AND finished_at IS NULL),
    (SELECT count(*) FROM quintet.runs WHERE namespace = $1),
    (SELECT count(*) FROM quintet.workflows WHERE namespace = $1),
    (SELECT count(*) FROM quintet.records WHERE namespace = $1),
    (SELECT count(*) FROM quintet.dead_letters WHERE namespace = $1),
    (
        (SELECT coalesce(sum(octet_length(document)), 0) FROM quintet.workflow_versions WHERE namespace = $1)
        + (SELECT coalesce(sum(octet_length(body)), 0) FROM quintet.records WHERE namespace = $1)
        + (SELECT coalesce(sum(octet_length(body)), 0) FROM quintet.dead_letters WHERE namespace = $1)
    )::bigint
