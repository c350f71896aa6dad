SELECT workflow
FROM runs INDEXED BY runs_by_workflow
WHERE namespace = ?1 AND workflow >= ?2 AND (?3 OR workflow > ?2) AND workflow <> ''
ORDER BY workflow
LIMIT 1
