SELECT id, source, reached
FROM quintet.origin
WHERE one = 1
