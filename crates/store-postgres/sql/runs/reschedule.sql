UPDATE quintet.runs AS r
SET wake_at = i.wake_at, taken_by = NULL, taken_until = NULL
FROM unnest($1, $2, $3) AS i (id, version, wake_at)
WHERE r.id = i.id AND r.version = i.version AND r.finished_at IS NULL
