-- SPDX-License-Identifier: MIT
-- report.lua -- a process says what there is to say of it; see node.h.
--
-- KEYS   1 hash of the process, 2 zset of all processes: member = id, score =
--        when it is forgotten (ms, by the clocks of the machines)
-- ARGV   1 id, 2 the time (ms), 3 for how long this holds (ms), 4... names and
--        values in turn
-- answer 1
--
-- What was said before goes with it, and so do the long gone: clocks may
-- differ a little.  Both are writes that free memory, so this works in a full
-- Redis too, where it is needed most.
local process, all = KEYS[1], KEYS[2]
local id, now, holds = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

redis.call('ZREMRANGEBYSCORE', all, '-inf', now - 6 * holds)
redis.call('DEL', process)
redis.call('HSET', process, unpack(ARGV, 4))
redis.call('PEXPIRE', process, holds)
redis.call('ZADD', all, now + holds, id)
return 1
