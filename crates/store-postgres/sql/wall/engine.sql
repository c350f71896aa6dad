-- Who sees everything, as a name that can be put into a definition.
SELECT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner))
FROM pg_catalog.pg_class AS c
WHERE c.oid = 'quintet.runs'::pg_catalog.regclass
