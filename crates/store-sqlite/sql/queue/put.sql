INSERT INTO queue (run, node, queue, rank, namespace)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (run, node) DO UPDATE SET queue = excluded.queue, rank = excluded.rank
