-- The definitions that are missing for the wall to be whole: on every table row-level security, for its owner too, and the
-- policy by which the owner of the store sees everything; whoever else was named in that policy stays in it. Nothing on a
-- database that does not know the wall yet. The numbers of the migrations are everybody's.
WITH house AS (
    SELECT c.relowner AS role
    FROM pg_catalog.pg_class AS c
    WHERE c.oid = pg_catalog.to_regclass('quintet.runs')
        AND EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'own')
), tables AS (
    SELECT c.relname, h.role, p.polroles, c.relrowsecurity AND c.relforcerowsecurity AS is_forced
    FROM house AS h
        JOIN pg_catalog.pg_class AS c ON c.relnamespace = pg_catalog.to_regnamespace('quintet') AND c.relkind IN ('r', 'p')
        LEFT JOIN pg_catalog.pg_policy AS p ON p.polrelid = c.oid AND p.polname = 'engine'
    WHERE c.relname <> 'migrations'
)
SELECT pg_catalog.format('ALTER TABLE quintet.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relname)
FROM tables
WHERE NOT is_forced
UNION ALL
SELECT pg_catalog.format('CREATE POLICY engine ON quintet.%I TO %I USING (true)', relname, pg_catalog.pg_get_userbyid(role))
FROM tables
WHERE polroles IS NULL
UNION ALL
SELECT pg_catalog.format('ALTER POLICY engine ON quintet.%I TO %s', relname, (
    SELECT string_agg(pg_catalog.quote_ident(r.rolname), ', ' ORDER BY r.rolname)
    FROM pg_catalog.pg_roles AS r
    WHERE r.oid = role OR r.oid = ANY (polroles)
))
FROM tables
WHERE polroles IS NOT NULL AND NOT (role = ANY (polroles) OR 0 = ANY (polroles))
