-- Whoever counts steps in progress to start another one holds the lock of what is counted until the end of the transaction.
-- Every commit asks for its locks in the order in which they come here, before it locks any row.
SELECT pg_catalog.pg_advisory_xact_lock($1, place)
FROM unnest($2) AS place
