SELECT k.namespace, k.scope, k.key, k.request, k.answer
FROM unnest($1, $2, $3) AS i (namespace, scope, key)
    JOIN quintet.idempotency AS k ON k.namespace = i.namespace AND k.scope = i.scope AND k.key = i.key
WHERE k.expires_at > $4
