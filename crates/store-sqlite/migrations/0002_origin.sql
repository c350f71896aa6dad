-- Which store this is, by a name drawn at random. Where `quintet db move` filled it, also the store that it was filled
-- from, and as long as that goes on, the place that it has reached: nobody may work on half a store.
CREATE TABLE origin (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id BLOB NOT NULL CHECK (length(id) = 16),
    source BLOB CHECK (length(source) = 16),
    reached BLOB,
    CHECK (reached IS NULL OR source IS NOT NULL)
) STRICT;

INSERT INTO origin (one, id)
VALUES (1, randomblob(16));
