-- Whoever holds the rows of the streams sees, with the next statement, all that was ever added to them.
SELECT s.head
FROM quintet.outbox_streams AS s
WHERE (s.target, s.key) IN (SELECT m.target, m.key FROM quintet.outbox AS m WHERE m.id = ANY ($1))
ORDER BY s.target, s.key
FOR UPDATE
