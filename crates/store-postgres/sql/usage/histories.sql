SELECT coalesce(sum(octet_length(events)), 0)::bigint
FROM quintet.history
WHERE run = ANY ($1)
