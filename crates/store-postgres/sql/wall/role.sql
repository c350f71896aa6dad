-- The role that sees one namespace: whether this user may take it, and whether it sees more than it should, because it
-- passes by row-level security or is one of those for whom there is the policy that shows everything.
SELECT pg_catalog.pg_has_role(session_user, t.oid, 'MEMBER'),
    t.rolsuper OR t.rolbypassrls OR EXISTS (
        SELECT
        FROM pg_catalog.pg_policy AS p, unnest(p.polroles) AS named (role)
        WHERE p.polname = 'engine' AND (named.role = 0 OR pg_catalog.pg_has_role(t.oid, named.role, 'MEMBER'))
    )
FROM pg_catalog.pg_roles AS t
WHERE t.rolname = 'quintet_tenant'
