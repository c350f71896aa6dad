-- Says how far a job has come. ARGV: id, lock token, progress as JSON.
local job = base .. ARGV[1]
if redis.call('GET', job .. ':lock') ~= ARGV[2] then
  return 0
end
redis.call('HSET', job, 'progress', ARGV[3])
tell(base, 'event', 'progress', 'jobId', ARGV[1], 'data', ARGV[3])
return 1
