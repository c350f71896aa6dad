-- Which store this is, by a name drawn at random. Where `quintet db move` filled it, also the store that it was filled
-- from, and as long as that goes on, the place that it has reached: nobody may work on half a store.
CREATE TABLE quintet.origin (
    one smallint NOT NULL PRIMARY KEY CHECK (one = 1),
    id bytea NOT NULL CHECK (octet_length(id) = 16),
    source bytea CHECK (octet_length(source) = 16),
    reached bytea,
    CHECK (reached IS NULL OR source IS NOT NULL)
);

INSERT INTO quintet.origin (one, id)
VALUES (1, substr(sha256(convert_to(concat_ws(' ', random(), random(), clock_timestamp(), pg_backend_pid()), 'UTF8')), 1, 16));
