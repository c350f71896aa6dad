DELETE FROM quintet.dead_letters
WHERE run = ANY ($1)
