INSERT INTO workflows (namespace, id, name, version, created_at)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (namespace, id) DO UPDATE SET name = excluded.name, version = excluded.version
