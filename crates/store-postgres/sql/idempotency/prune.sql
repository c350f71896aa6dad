DELETE FROM quintet.idempotency
WHERE (namespace, scope, key) IN (
    SELECT namespace, scope, key
    FROM quintet.idempotency
    WHERE expires_at <= $1
    ORDER BY expires_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
