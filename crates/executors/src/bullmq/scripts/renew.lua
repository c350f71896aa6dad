-- Keeps jobs. ARGV: milliseconds that the locks last, then pairs of id and lock token. Answers the tokens of those that are lost.
-- A lock that ran out is taken again if the job is still active: nobody else has noticed.
local lost = {}
for at = 2, #ARGV, 2 do
  local id, token = ARGV[at], ARGV[at + 1]
  local lock = base .. id .. ':lock'
  local holder = redis.call('GET', lock)
  if holder == token or not holder and redis.call('LPOS', base .. 'active', id) then
    redis.call('SET', lock, token, 'PX', ARGV[1])
    redis.call('SREM', base .. 'stalled', id)
  else
    table.insert(lost, token)
  end
end
return lost
