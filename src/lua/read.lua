-- SPDX-License-Identifier: MIT
-- read.lua -- the owner of a divided channel reads what is new in it.
--
-- KEYS   1 stream of the channel
-- ARGV   1 group, 2 own name, 3 fence, 4 how many at most
-- answer {state, reply of XREADGROUP}
--        state 1: done; 0: there is no such stream; -1: the fence is gone, or
--        the group is: claim.lua tells whose the channel is
--
-- XLEN is a read, and makes Redis remember that this connection knows the key
-- (doorbell.h); XREADGROUP, which is a write, would not.
local stream = KEYS[1]
local group, me, fence, count = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local length = redis.pcall('XLEN', stream)
if type(length) ~= 'number' or length == 0 and
    redis.call('EXISTS', stream) == 0 then
	return {0, false}
end
--@use fence
if is_fenced(stream, group, fence) then
	return {-1, false}
end
return {1, redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', count,
		      'STREAMS', stream, '>')}
