-- Gives a job back unfinished. ARGV: id, lock token.
local id, lock = ARGV[1], base .. ARGV[1] .. ':lock'
if redis.call('GET', lock) ~= ARGV[2] then
  return 0
end
redis.call('DEL', lock)
redis.call('SREM', base .. 'stalled', id)
if redis.call('LREM', base .. 'active', -1, id) < 1 then
  return 0
end
line_up_first(base, id)
tell(base, 'event', 'waiting', 'jobId', id, 'prev', 'active')
return 1
