SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = 'quintet'::pg_catalog.regnamespace AND c.relkind = 'r'
