SELECT spec
FROM plans
WHERE digest = ?1
