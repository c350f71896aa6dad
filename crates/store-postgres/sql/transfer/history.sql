-- Up to the limit of rows, and of them those before which the limit of bytes is not reached: how long a text is can be told
-- without reading it. `found` is how many there would have been without the second limit.
SELECT seq, at, owner, events, run, found
FROM (
    SELECT seq, at, owner, events, run, count(*) OVER () AS found,
        sum(octet_length(events)) OVER (ORDER BY run, seq ROWS UNBOUNDED PRECEDING) - octet_length(events) AS bytes_before
    FROM (
        SELECT seq, at, owner, events, run
        FROM quintet.history
        WHERE run >= $1 AND (run, seq) > ($1, $2)
        ORDER BY run, seq
        LIMIT $3
    ) AS ahead
) AS page
WHERE bytes_before < $4
ORDER BY run, seq
