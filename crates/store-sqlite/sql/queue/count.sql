SELECT count(*)
FROM queue
