UPDATE quintet.origin
SET reached = NULL
WHERE one = 1
