-- For the transaction in which it is: from here on there is nothing but this namespace, and of histories nothing but those
-- of these runs. The role comes first, because the statements behind this one are refused if it cannot be taken.
SELECT pg_catalog.set_config('role', 'quintet_tenant', true), pg_catalog.set_config('quintet.namespace', $1, true),
    pg_catalog.set_config('quintet.runs', $2, true)
