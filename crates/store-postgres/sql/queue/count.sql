SELECT count(*)
FROM quintet.queue
