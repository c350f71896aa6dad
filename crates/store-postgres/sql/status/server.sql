SELECT current_setting('server_version_num')::integer, current_setting('server_encoding'),
    current_setting('transaction_read_only') = 'on', current_database()::text, pg_catalog.pg_backend_pid(),
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    current_setting('transaction_isolation')
