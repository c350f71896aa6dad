UPDATE quintet.origin
SET reached = $2
WHERE one = 1 AND reached = $1
