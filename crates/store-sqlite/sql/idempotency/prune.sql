DELETE FROM idempotency
WHERE (namespace, scope, key) IN (
    SELECT namespace, scope, key
    FROM idempotency INDEXED BY idempotency_by_expiry
    WHERE expires_at <= ?1
    ORDER BY expires_at
    LIMIT ?2
)
