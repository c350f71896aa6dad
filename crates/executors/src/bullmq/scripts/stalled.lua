-- Lines up again the active jobs that nobody keeps. ARGV: name of this kind of worker, milliseconds between two checks
-- of the others' jobs. Answers the ids.
-- Jobs of this kind lose nothing by being taken twice, so they are judged by their lock alone. Those of other workers
-- are given what BullMQ gives them: they must have been without a lock at two checks.
local function is_unlocked(id)
  return redis.call('EXISTS', base .. id .. ':lock') == 0
end

local suspects = {}
local is_turn = redis.call('SET', base .. 'stalled-check', now_ms(), 'PX', ARGV[2], 'NX')
if is_turn then
  for _, id in ipairs(redis.call('SMEMBERS', base .. 'stalled')) do
    suspects[id] = true
  end
  redis.call('DEL', base .. 'stalled')
end

local stalled = {}
for _, id in ipairs(redis.call('LRANGE', base .. 'active', 0, -1)) do
  local job = base .. id
  if is_unlocked(id) and (suspects[id] or redis.call('HGET', job, 'pb') == ARGV[1]) then
    redis.call('LREM', base .. 'active', 1, id)
    if redis.call('EXISTS', job) == 1 then
      redis.call('HINCRBY', job, 'stc', 1)
      line_up_first(base, id)
      tell(base, 'event', 'waiting', 'jobId', id, 'prev', 'active')
      tell(base, 'event', 'stalled', 'jobId', id)
      table.insert(stalled, id)
    end
  elseif is_turn then
    redis.call('SADD', base .. 'stalled', id)
  end
end
return stalled
