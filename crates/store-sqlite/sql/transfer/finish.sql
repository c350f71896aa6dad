UPDATE origin
SET reached = NULL
WHERE one = 1
