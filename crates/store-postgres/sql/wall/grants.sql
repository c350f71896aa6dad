-- What the role may do with which table, where it may not yet: what the statements need that are sent within a namespace,
-- and nothing else. To lock rows takes the right to change some column of them.
SELECT 'GRANT USAGE ON SCHEMA quintet TO quintet_tenant'
WHERE NOT pg_catalog.has_schema_privilege('quintet_tenant', 'quintet', 'USAGE')
UNION ALL
SELECT pg_catalog.format('GRANT %s ON quintet.%I TO quintet_tenant', right_to, name)
FROM (
    VALUES ('runs', 'SELECT'), ('runs', 'DELETE'), ('history', 'SELECT'),
        ('queue', 'SELECT'), ('steps', 'SELECT'),
        ('dead_letters', 'SELECT'), ('dead_letters', 'DELETE'), ('idempotency', 'SELECT'), ('plans', 'INSERT'),
        ('records', 'SELECT'), ('records', 'INSERT'), ('records', 'UPDATE'), ('records', 'DELETE'),
        ('workflows', 'SELECT'), ('workflows', 'INSERT'), ('workflows', 'UPDATE'), ('workflows', 'DELETE'),
        ('workflow_versions', 'SELECT'), ('workflow_versions', 'INSERT'), ('workflow_versions', 'DELETE')
) AS rights (name, right_to)
WHERE NOT pg_catalog.has_table_privilege('quintet_tenant', 'quintet.' || name, right_to)
UNION ALL
SELECT pg_catalog.format('GRANT UPDATE (%I) ON quintet.%I TO quintet_tenant', col, name)
FROM (VALUES ('dead_letters', 'retried_at')) AS locks (name, col)
WHERE NOT pg_catalog.has_column_privilege('quintet_tenant', 'quintet.' || name, col, 'UPDATE')
