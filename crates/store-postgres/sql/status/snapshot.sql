SELECT pid, coalesce(application_name, ''), (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::bigint
FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND backend_xmin IS NOT NULL AND xact_start IS NOT NULL
    AND pid <> pg_catalog.pg_backend_pid()
ORDER BY xact_start
LIMIT 1
