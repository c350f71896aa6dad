-- Makes room for keys that are written anew: those that have expired, and those whose answer is replaced. What somebody
-- else wrote meanwhile stays, and idempotency/insert meets it.
DELETE FROM quintet.idempotency AS k
USING unnest($1, $2, $3, $4) AS i (namespace, scope, key, replaces)
WHERE k.namespace = i.namespace AND k.scope = i.scope AND k.key = i.key AND (k.expires_at <= $5 OR k.answer = i.replaces)
