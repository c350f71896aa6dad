SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2)
FROM quintet.outbox
