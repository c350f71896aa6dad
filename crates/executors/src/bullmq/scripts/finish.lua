-- Ends an active job. ARGV: id, lock token, 'completed' or 'failed', the result as JSON or the reason, how many ended
-- jobs are kept (-1 for all), for how many seconds ('' for ever), attempts to show, stack trace as JSON.
-- Answers 'done', 'gone' where there is no such active job any more, 'taken' where somebody else has it.
local id, job, kind, value = ARGV[1], base .. ARGV[1], ARGV[3], ARGV[4]
local keep, keep_seconds = tonumber(ARGV[5]), tonumber(ARGV[6])
local has_completed = kind == 'completed'
local now = now_ms()

local function release_parent(parent, now)
  local of = parent.queueKey .. ':'
  local key = of .. parent.id
  if redis.call('ZREM', of .. 'waiting-children', parent.id) == 0 or redis.call('EXISTS', key) == 0 then
    return false
  end
  local fields = redis.call('HMGET', key, 'priority', 'delay')
  local delay = tonumber(fields[2]) or 0
  if delay > 0 then
    put_off(of, parent.id, now + delay)
  else
    line_up(of, parent.id, tonumber(fields[1]) or 0, 'RPUSH')
    tell(of, 'event', 'waiting', 'jobId', parent.id, 'prev', 'waiting-children')
  end
  return true
end

-- The parent's failure is put off until a worker takes it, which then fails it with this reason.
local function fail_parent(parent, now)
  local of = parent.queueKey .. ':'
  local key = of .. parent.id
  redis.call('ZADD', key .. ':unsuccessful', now, job)
  if redis.call('EXISTS', key) == 0 or redis.call('ZSCORE', of .. 'failed', parent.id) then
    return
  end
  redis.call('HSET', key, 'defa', 'child ' .. job .. ' failed')
  if redis.call('ZREM', of .. 'delayed', parent.id) == 1 then
    redis.call('HSET', key, 'delay', 0)
    redis.call('ZADD', of .. 'waiting-children', 0, parent.id)
  end
  release_parent(parent, now)
end

local function tell_parent(parent, now)
  local key = parent.queueKey .. ':' .. parent.id
  local open = key .. ':dependencies'
  local is_silent = not (has_completed or parent.fpof or parent.cpof or parent.idof or parent.rdof)
  -- A job that is removed cannot be tried again, so nobody can wait for it either.
  if is_silent and keep ~= 0 or redis.call('SREM', open, job) == 0 then
    return
  end
  if has_completed then
    redis.call('HSET', key .. ':processed', job, value)
  elseif parent.fpof then
    return fail_parent(parent, now)
  elseif parent.cpof or parent.idof then
    redis.call('HSET', key .. ':failed', job, value)
  end
  if parent.cpof and not has_completed or redis.call('SCARD', open) == 0 then
    release_parent(parent, now)
  end
end

-- A job that was added again while this one was active, and was to follow it.
local function add_follower(key, guard)
  local next = redis.call('HMGET', key, 'name', 'data', 'opts', 'pk', 'pd', 'pdk', 'rjk', 'jid')
  local number = redis.call('INCR', base .. 'id')
  local follower = next[8] or tostring(number)
  local options = cjson.decode(next[3])
  local rule = options['de'] or {}
  if not rule['keepLastIfActive'] and (tonumber(rule['ttl']) or 0) > 0 then
    redis.call('SET', guard, follower, 'PX', rule['ttl'])
  else
    redis.call('SET', guard, follower)
  end
  local priority, delay = tonumber(options['priority']) or 0, tonumber(options['delay']) or 0
  local record = { 'name', next[1], 'data', next[2], 'opts', next[3], 'timestamp', now, 'delay', delay, 'priority',
    priority, 'deid', rule['id'] }
  for field, value in pairs({ parentKey = next[4] or nil, parent = next[5] or nil, rjk = next[7] or nil }) do
    table.insert(record, field)
    table.insert(record, value)
  end
  redis.call('HSET', base .. follower, unpack(record))
  tell(base, 'event', 'added', 'jobId', follower, 'name', next[1])
  if delay > 0 then
    put_off(base, follower, now + delay)
  else
    line_up(base, follower, priority, options['lifo'] and 'RPUSH' or 'LPUSH')
    tell(base, 'event', 'waiting', 'jobId', follower)
  end
  if next[6] then
    redis.call('SADD', next[6], base .. follower)
  end
  redis.call('DEL', key)
end

if redis.call('EXISTS', job) == 0 then
  return 'gone'
end
local holder = redis.call('GET', job .. ':lock')
if holder and holder ~= ARGV[2] then
  return 'taken'
end
if redis.call('LREM', base .. 'active', -1, id) < 1 then
  return 'gone'
end
redis.call('DEL', job .. ':lock')
redis.call('SREM', base .. 'stalled', id)

local about = redis.call('HMGET', job, 'parent', 'deid')
if about[2] then
  local guard, next = base .. 'de:' .. about[2], base .. 'dn:' .. about[2]
  local left = redis.call('PTTL', guard)
  if left == 0 or left == -1 and redis.call('GET', guard) == id then
    redis.call('DEL', guard)
  end
  if redis.call('EXISTS', next) == 1 then
    add_follower(next, guard)
  end
end
if about[1] then
  tell_parent(cjson.decode(about[1]), now)
end

local field = has_completed and 'returnvalue' or 'failedReason'
redis.call('HSET', job, 'atm', ARGV[7])
if keep == 0 then
  forget(job)
else
  redis.call('HSET', job, field, value, 'finishedOn', now)
  redis.call('HDEL', job, 'defa')
  if not has_completed then
    redis.call('HSET', job, 'stacktrace', ARGV[8])
  end
  redis.call('ZADD', base .. kind, now, id)
  local old = {}
  if keep_seconds then
    old = redis.call('ZRANGEBYSCORE', base .. kind, '-inf', now - keep_seconds * 1000, 'LIMIT', 0, 1000)
  end
  if keep > 0 then
    for _, other in ipairs(redis.call('ZREVRANGE', base .. kind, keep, keep + 999)) do
      table.insert(old, other)
    end
  end
  for _, other in ipairs(old) do
    forget(base .. other)
    redis.call('ZREM', base .. kind, other)
  end
end
tell(base, 'event', kind, 'jobId', id, field, value, 'prev', 'active')
if not has_completed then
  tell(base, 'event', 'retries-exhausted', 'jobId', id, 'attemptsMade', ARGV[7])
end
if redis.call('LLEN', base .. 'wait') == 0 and redis.call('LLEN', base .. 'active') == 0
  and redis.call('ZCARD', base .. 'prioritized') == 0 then
  tell(base, 'event', 'drained')
end
return 'done'
