-- From the catalogs and not by to_regclass, which may answer from before a lock was waited for.
SELECT
    EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'quintet'),
    EXISTS (
        SELECT
        FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'quintet' AND c.relname = 'migrations'
    )
