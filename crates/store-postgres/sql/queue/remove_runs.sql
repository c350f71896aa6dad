DELETE FROM quintet.queue
WHERE run = ANY ($1)
