-- The tables of which this user would see nothing, and who sees everything of them.
SELECT c.relname::text, pg_catalog.pg_get_userbyid(c.relowner)::text, current_user::text
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = 'quintet'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p') AND c.relrowsecurity
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user AND (r.rolsuper OR r.rolbypassrls)
    )
    AND NOT EXISTS (
        SELECT
        FROM pg_catalog.pg_policy AS p, unnest(p.polroles) AS named (role)
        WHERE p.polrelid = c.oid AND p.polname = 'engine'
            AND (named.role = 0 OR pg_catalog.pg_has_role(named.role, 'USAGE'))
    )
ORDER BY c.relname
