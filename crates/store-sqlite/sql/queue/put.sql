INSERT INTO queue (run, node, action, rank, namespace)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (run, node) DO UPDATE SET action = excluded.action, rank = excluded.rank
