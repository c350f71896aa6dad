INSERT INTO quintet.plans (digest, spec)
SELECT p.digest, p.spec
FROM unnest($1, $2) AS p (digest, spec)
ORDER BY p.digest
ON CONFLICT (digest) DO NOTHING
