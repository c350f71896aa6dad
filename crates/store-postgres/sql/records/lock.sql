SELECT r.namespace, r.kind, r.id, r.version, r.created_at
FROM unnest($1, $2, $3) AS i (namespace, kind, id)
    JOIN quintet.records AS r ON r.namespace = i.namespace AND r.kind = i.kind AND r.id = i.id
ORDER BY r.namespace, r.kind, r.id
FOR UPDATE OF r
