-- Takes the next job. ARGV: lock token, milliseconds that the lock lasts, name of the worker.
-- Answers {'job', id, fields...}, or {'later', milliseconds} with -1 where nothing is known to come.
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', base .. 'delayed', 0, (now + 1) * 4096 - 1, 'LIMIT', 0, 1000)
for _, id in ipairs(due) do
  redis.call('ZREM', base .. 'delayed', id)
  redis.call('HSET', base .. id, 'delay', 0)
  line_up(base, id, tonumber(redis.call('HGET', base .. id, 'priority')) or 0, 'LPUSH')
  tell(base, 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
end

local rate = redis.call('HMGET', base .. 'meta', 'max', 'duration')
local limiter = base .. 'limiter'
if rate[1] and tonumber(redis.call('GET', limiter) or 0) >= tonumber(rate[1]) then
  local left = redis.call('PTTL', limiter)
  if left > 0 then
    return { 'later', left }
  end
  redis.call('DEL', limiter)
end
if gate(base) ~= 'open' then
  return { 'later', -1 }
end

local id
repeat
  id = redis.call('RPOPLPUSH', base .. 'wait', base .. 'active')
  local is_marker = id and string.sub(id, 1, 2) == '0:'
  if is_marker then
    redis.call('LREM', base .. 'active', 1, id)
  end
until not is_marker
if not id then
  local first = redis.call('ZPOPMIN', base .. 'prioritized')
  if #first > 0 then
    id = first[1]
    redis.call('LPUSH', base .. 'active', id)
  else
    redis.call('DEL', base .. 'pc')
  end
end
if not id then
  local first = redis.call('ZRANGE', base .. 'delayed', 0, 0, 'WITHSCORES')
  if #first > 0 then
    return { 'later', math.max(0, math.ceil(first[2] / 4096 - now)) }
  end
  return { 'later', -1 }
end

local job = base .. id
if redis.call('EXISTS', job) == 0 then
  -- Somebody deleted the job and left its id behind.
  redis.call('LREM', base .. 'active', 1, id)
  return { 'later', 0 }
end
if rate[1] and redis.call('INCR', limiter) == 1 then
  redis.call('PEXPIRE', limiter, math.floor(math.abs(tonumber(rate[2] or 1000))))
end
redis.call('SET', job .. ':lock', ARGV[1], 'PX', ARGV[2])
redis.call('HSET', job, 'processedOn', now, 'pb', ARGV[3])
redis.call('HINCRBY', job, 'ats', 1)
tell(base, 'event', 'active', 'jobId', id, 'prev', 'waiting')
-- Others may find a job too; who finds none does not set the marker again.
wake(base)
local answer = redis.call('HGETALL', job)
table.insert(answer, 1, id)
table.insert(answer, 1, 'job')
return answer
