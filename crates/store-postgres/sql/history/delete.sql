DELETE FROM quintet.history
WHERE run = ANY ($1)
