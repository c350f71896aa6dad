-- Rows that this transaction has locked.
DELETE FROM quintet.records AS r
USING unnest($1, $2, $3) AS i (namespace, kind, id)
WHERE r.namespace = i.namespace AND r.kind = i.kind AND r.id = i.id
