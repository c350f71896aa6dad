-- What the scripts share; it stands before each of them. KEYS[1] is what all keys of the queue begin with, with the
-- colon. Keys of a job's parent may belong to another queue, so the helpers are told which one they work on (`of`).
local base = KEYS[1]

-- Milliseconds since 1970 by the server's clock: nodes whose own clocks differ agree on what is due.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function tell(of, ...)
  local limit = redis.call('HGET', of .. 'meta', 'opts.maxLenEvents')
  if not limit then
    limit = '10000'
    redis.call('HSET', of .. 'meta', 'opts.maxLenEvents', limit)
  end
  redis.call('XADD', of .. 'events', 'MAXLEN', '~', limit, '*', ...)
end

-- Whether jobs of the queue may begin: 'open', 'paused' by somebody, or 'full' by its own limit.
local function gate(of)
  local meta = redis.call('HMGET', of .. 'meta', 'paused', 'concurrency')
  if meta[1] then
    return 'paused'
  end
  if meta[2] and redis.call('LLEN', of .. 'active') >= tonumber(meta[2]) then
    return 'full'
  end
  return 'open'
end

-- The marker is what idle workers block on.
local function wake(of)
  if gate(of) == 'open' then
    redis.call('ZADD', of .. 'marker', 0, '0')
  end
end

-- Puts a job among those that wait. Those with a priority are in a sorted set: the priority in the upper bits of the
-- score, their turn in the lower 32. The others are in a list that is taken from at its right end. Version 5 moves
-- the list away while a queue is paused, and version 6 fetches back what it finds there.
local function line_up(of, id, priority, push)
  if priority > 0 then
    local turn = redis.call('INCR', of .. 'pc') % 4294967296
    redis.call('ZADD', of .. 'prioritized', priority * 4294967296 + turn, id)
  else
    local list = gate(of) == 'paused' and 'paused' or 'wait'
    redis.call(push, of .. list, id)
  end
  wake(of)
end

-- Back to the head of those that wait: it had its turn.
local function line_up_first(of, id)
  local priority = tonumber(redis.call('HGET', of .. id, 'priority')) or 0
  if priority > 0 then
    redis.call('ZADD', of .. 'prioritized', priority * 4294967296, id)
    wake(of)
  else
    line_up(of, id, 0, 'RPUSH')
  end
end

-- The score of a job that is not due yet is its time in the upper bits.
local function put_off(of, id, at)
  redis.call('ZADD', of .. 'delayed', at * 4096, id)
  local first = redis.call('ZRANGE', of .. 'delayed', 0, 0, 'WITHSCORES')
  redis.call('ZADD', of .. 'marker', first[2] / 4096, '1')
  tell(of, 'event', 'delayed', 'jobId', id, 'delay', at)
end

local function forget(job)
  redis.call('DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed',
    job .. ':unsuccessful')
end
