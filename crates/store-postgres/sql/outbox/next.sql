SELECT due_at
FROM quintet.outbox_streams
ORDER BY due_at
LIMIT 1
