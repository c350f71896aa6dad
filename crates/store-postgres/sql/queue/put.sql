INSERT INTO quintet.queue AS q (run, node, queue, rank, namespace)
SELECT p.*
FROM unnest($1, $2, $3, $4, $5) AS p (run, node, queue, rank, namespace)
ON CONFLICT (run, node) DO UPDATE
    SET queue = excluded.queue, rank = excluded.rank, namespace = excluded.namespace,
        taken_by = NULL, taken_until = NULL
