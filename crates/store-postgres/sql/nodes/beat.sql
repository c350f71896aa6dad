-- One node's beat and everything it may have missed, by the clock of the database. Its own row is answered as it is after
-- the beat. A node that was taken over does not change, nor does one come back that was forgotten; it is told so.
WITH clock AS MATERIALIZED (
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
), renewed AS (
    UPDATE quintet.nodes AS n
    SET name = $2, url = $3, version = $4, started_at = $5, beat_at = clock.now, expires_at = clock.now + $6,
        draining = $7, in_flight = $8
    FROM clock
    WHERE n.owner = $1 AND n.taken_by IS NULL
    RETURNING n.owner, name, url, version, started_at, beat_at, expires_at, draining, in_flight, taken_by
), joined AS (
    INSERT INTO quintet.nodes AS n (owner, name, url, version, started_at, beat_at, expires_at, draining, in_flight)
    SELECT $1, $2, $3, $4, $5, clock.now, clock.now + $6, $7, $8
    FROM clock
    WHERE $9
    ON CONFLICT (owner) DO NOTHING
    RETURNING owner, name, url, version, started_at, beat_at, expires_at, draining, in_flight, taken_by
), beaten AS (
    SELECT * FROM renewed
    UNION ALL
    SELECT * FROM joined
), told AS (
    DELETE FROM quintet.notices
    WHERE owner = $1
    RETURNING run
), named AS (
    SELECT r.id, r.namespace
    FROM told
        JOIN quintet.runs AS r ON r.id = told.run
)
SELECT n.*,
    clock.now,
    EXISTS (SELECT FROM beaten),
    (
        SELECT r.wake_at
        FROM quintet.runs AS r
        WHERE r.finished_at IS NULL AND r.wake_at IS NOT NULL
            AND (r.taken_by IS NULL OR r.taken_by = $1 OR r.taken_until <= clock.now)
        ORDER BY r.wake_at
        LIMIT 1
    ),
    EXISTS (
        SELECT
        FROM quintet.queue AS q
        WHERE q.taken_by IS NULL OR q.taken_by = $1 OR q.taken_until <= clock.now
    ),
    (
        SELECT s.due_at
        FROM quintet.outbox_streams AS s
        WHERE s.taken_by IS NULL OR s.taken_by = $1 OR s.taken_until <= clock.now
        ORDER BY s.due_at
        LIMIT 1
    ),
    ARRAY(SELECT id FROM named ORDER BY id),
    ARRAY(SELECT namespace FROM named ORDER BY id)
FROM clock
    LEFT JOIN (
        SELECT owner, name, url, version, started_at, beat_at, expires_at, draining, in_flight, taken_by
        FROM beaten
        UNION ALL
        SELECT owner, name, url, version, started_at, beat_at, expires_at, draining, in_flight, taken_by
        FROM quintet.nodes
        WHERE owner <> ALL (ARRAY(SELECT owner FROM beaten))
    ) AS n ON true
