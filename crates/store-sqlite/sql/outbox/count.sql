SELECT count(*) FILTER (WHERE state < 2), count(*) FILTER (WHERE state = 2)
FROM outbox
