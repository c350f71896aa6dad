DELETE FROM quintet.workflows
WHERE namespace = $1 AND id = $2
