SELECT w.namespace, w.id, w.version
FROM unnest($1, $2) AS i (namespace, id)
    JOIN quintet.workflows AS w ON w.namespace = i.namespace AND w.id = i.id
