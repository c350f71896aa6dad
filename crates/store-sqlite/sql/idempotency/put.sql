INSERT INTO idempotency (namespace, scope, key, request, answer, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (namespace, scope, key)
    DO UPDATE SET request = excluded.request, answer = excluded.answer, expires_at = excluded.expires_at
