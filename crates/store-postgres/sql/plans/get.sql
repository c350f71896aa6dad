SELECT spec
FROM quintet.plans
WHERE digest = $1
