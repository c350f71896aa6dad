WITH clock AS MATERIALIZED (
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
)
UPDATE quintet.nodes AS n
SET taken_by = $2, taken_until = clock.now + $3
FROM clock
WHERE n.owner = $1 AND $1 <> $2 AND n.expires_at <= clock.now
    AND (n.taken_by IS NULL OR n.taken_by = $2 OR n.taken_until <= clock.now)
