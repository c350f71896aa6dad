SELECT request, answer
FROM quintet.idempotency
WHERE namespace = $1 AND scope = $2 AND key = $3 AND expires_at > $4
