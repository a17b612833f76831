-- SPDX-License-Identifier: MIT
-- read.lua -- the owner of a divided channel reads what is new in it.
--
-- KEYS   1 stream of the channel, 2 zset of due times (commit.lua)
-- ARGV   1 group, 2 own name, 3 fence, 4 how many at most
-- answer {state, reply of XREADGROUP, ms until the earliest due time (-1:
--        none)}, and where fewer came than were asked for: id that the group
--        was given last, pending entries, how many of them wait for their due
--        time
--        state 1: done; 0: there is no such stream; -1: the fence is gone, or
--        the group is: claim.lua tells whose the channel is
--
-- XLEN is a read, and makes Redis remember that this connection knows the key
-- (doorbell.h); XREADGROUP, which is a write, would not.  Whoever has read all
-- is told what is pending, so that the owner finds what is not in its hands.
local stream, later = KEYS[1], KEYS[2]
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
local head = redis.pcall('ZRANGE', later, 0, 0, 'WITHSCORES')
local due = -1
if tonumber(head[2]) then
	local time = redis.call('TIME')
	due = math.max(0, head[2] - time[1] * 1000 -
		       math.floor(time[2] / 1000))
end
if got and #got[1][2] >= count then
	return {1, got, due}
end
for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
	local g = fields_of(row)
	if g.name == group then
		return {1, got, due, g['last-delivered-id'], g.pending,
			due < 0 and 0 or redis.call('ZCARD', later)}
	end
end
