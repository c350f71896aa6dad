-- Gives a job to the workers, once. ARGV: id, name, data, options, priority (at least 1).
local id, job = ARGV[1], base .. ARGV[1]
if redis.call('EXISTS', base .. 'quintet:' .. id) == 1 then
  return 'over'
end
if redis.call('EXISTS', job) == 1 then
  return 'there'
end
local priority = tonumber(ARGV[5])
redis.call('HSET', job, 'name', ARGV[2], 'data', ARGV[3], 'opts', ARGV[4], 'timestamp', now_ms(), 'delay', 0,
  'priority', priority)
tell(base, 'event', 'added', 'jobId', id, 'name', ARGV[2])
line_up(base, id, priority, 'LPUSH')
tell(base, 'event', 'waiting', 'jobId', id)
return 'put'
