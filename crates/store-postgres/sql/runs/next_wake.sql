SELECT wake_at
FROM quintet.runs
WHERE finished_at IS NULL AND wake_at IS NOT NULL
ORDER BY wake_at
LIMIT 1
