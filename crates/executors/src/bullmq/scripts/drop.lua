-- Removes a job whose attempt is over. ARGV: id, milliseconds for which it cannot be put again.
-- One that a worker has is left to it; its answer will find nobody who wants it, and then it is dropped.
local id, job = ARGV[1], base .. ARGV[1]
redis.call('SET', base .. 'quintet:' .. id, 1, 'PX', ARGV[2])
if redis.call('LPOS', base .. 'active', id) then
  return 'active'
end
local from = 'unknown'
for _, set in ipairs({ 'completed', 'failed', 'prioritized', 'delayed', 'waiting-children' }) do
  if redis.call('ZREM', base .. set, id) == 1 then
    from = set
  end
end
if from == 'unknown' then
  for _, list in ipairs({ 'wait', 'paused' }) do
    if redis.call('LREM', base .. list, 0, id) > 0 then
      from = list
    end
  end
end
if redis.call('EXISTS', job) == 1 then
  forget(job)
  tell(base, 'event', 'removed', 'jobId', id, 'prev', from)
end
return from
