SELECT digest, spec
FROM plans
WHERE digest > ?1
ORDER BY digest
LIMIT ?2
