SELECT coalesce(sum(octet_length(events)), 0)
FROM history
WHERE run = ?1
