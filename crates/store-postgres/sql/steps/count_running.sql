-- Steps in progress of an action, or of one queue of it.
SELECT l.action, l.queue, CASE
    WHEN l.queue IS NULL THEN (SELECT count(*) FROM quintet.steps AS s WHERE s.is_running AND s.action = l.action)
    ELSE (SELECT count(*) FROM quintet.steps AS s WHERE s.is_running AND s.action = l.action AND s.queue = l.queue)
END
FROM unnest($1, $2) AS l (action, queue)
