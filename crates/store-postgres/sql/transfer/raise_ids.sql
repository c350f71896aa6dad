-- New messages come behind those that were moved.
SELECT setval('quintet.outbox_ids', greatest($1, (SELECT last_value FROM quintet.outbox_ids)))
