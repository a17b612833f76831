-- SPDX-License-Identifier: MIT
-- read.lua -- the owner of a divided channel reads what is new in it.
--
-- KEYS   1 stream of the channel
-- ARGV   1 group, 2 own name, 3 fence, 4 how many at most
-- answer {state, reply of XREADGROUP}, and where that is not all that was
--        asked for: id that the group was given last, pending entries, those
--        of them that wait under "=later"
--        state 1: done; 0: there is no such stream; -1: the fence is gone, or
--        the group is: claim.lua tells whose the channel is
--
-- XLEN is a read, and makes Redis remember that this connection knows the key
-- (doorbell.h); XREADGROUP, which is a write, would not.  Whoever has read all
-- is told what is pending, so that the owner finds what is not in its hands.
local stream = KEYS[1]
local group, me, fence, count = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local length = redis.pcall('XLEN', stream)
if type(length) ~= 'number' or length == 0 and
    redis.call('EXISTS', stream) == 0 then
	return {0, false}
end
--@use fence
--@use fields
if is_fenced(stream, group, fence) then
	return {-1, false}
end
local got = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', count,
		       'STREAMS', stream, '>')
if got and #got[1][2] >= count then
	return {1, got}
end
local last, pending, later = '0-0', 0, 0
for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
	local g = fields_of(row)
	if g.name == group then
		last, pending = g['last-delivered-id'], g.pending
	end
end
if pending > 0 then
	for _, row in ipairs(redis.call('XPENDING', stream, group)[4]) do
		if row[1] == '=later' then
			later = tonumber(row[2])
		end
	end
end
return {1, got, last, pending, later}
