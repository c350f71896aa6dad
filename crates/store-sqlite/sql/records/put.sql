INSERT INTO records (namespace, kind, id, version, body, expires_at, created_at, updated_at)
VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?6)
ON CONFLICT (namespace, kind, id)
    DO UPDATE SET version = version + 1, body = excluded.body, expires_at = excluded.expires_at,
        updated_at = excluded.updated_at
