-- Who logged in, and the role of the session, as names that can be put into a statement.
SELECT pg_catalog.quote_ident(session_user), CASE current_setting('role')
    WHEN 'none' THEN 'NONE'
    ELSE pg_catalog.quote_ident(current_setting('role'))
END
