SELECT id, source, reached
FROM origin
WHERE one = 1
