INSERT INTO plans (digest, spec)
VALUES (?1, ?2)
ON CONFLICT (digest) DO NOTHING
