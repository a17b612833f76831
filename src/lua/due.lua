-- SPDX-License-Identifier: MIT
-- due.lua -- take the entries whose retry is due.
--
-- An entry that waits for its retry is pending under the consumer "=later",
-- and stands in a zset beside the channel with its due time.
--
-- KEYS   1 stream of the channel, 2 hash of failed attempts, 3 zset of due
--        times (ms)
-- ARGV   1 group, 2 own name, 3 how many at most (1000 is the limit of one
--        call), 4 "1": first look for entries that have lost their due time,
--        5 fence (the consumer without which nothing is ours; "": none)
-- answer {ms until the next is due (-1: none waits), lost, entries}
--        lost and entries as in rescue.lua
local stream, tries, later = KEYS[1], KEYS[2], KEYS[3]
local group, me, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local fence = ARGV[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function pending(first, last, n)
	local r = redis.pcall('XPENDING', stream, group, first, last, n,
			      '=later')
	return r.err and {} or r -- NOGROUP: nothing is pending
end

--@use fence

if fence ~= '' and is_fenced(stream, group, fence) then
	return {-1, {}, {}}
end
if ARGV[4] == '1' then
	-- Only somebody else can have removed them from the zset.
	local rows = pending('-', '+', 1000)
	if #rows > redis.call('ZCARD', later) then
		for _, row in ipairs(rows) do
			redis.call('ZADD', later, 'NX', now, row[1])
		end
	end
end

local found = {}
local claim = {'XCLAIM', stream, group, me, 0}
if count > 0 then
	for _, id in ipairs(redis.call('ZRANGEBYSCORE', later, '-inf', now,
				       'LIMIT', 0, count)) do
		redis.call('ZREM', later, id)
		for _, row in ipairs(pending(id, id, 1)) do
			table.insert(found, row)
			table.insert(claim, id)
		end
	end
end

-- An entry that is gone is left out, or is false (Redis 6.2).
local bodies = {}
if #found > 0 then
	for _, entry in ipairs(redis.call(unpack(claim))) do
		if entry then
			bodies[entry[1]] = entry[2]
		end
	end
end
local lost, entries = {}, {}
for _, row in ipairs(found) do
	local id = row[1]
	if bodies[id] then
		local t = redis.call('HMGET', tries, id, id .. '!')
		table.insert(entries, {id, bodies[id], row[4] + 1, t[1] or 0,
				       t[2] or 0})
	else
		redis.call('XACK', stream, group, id)
		redis.call('HDEL', tries, id, id .. '!', id .. '@')
		table.insert(lost, id)
	end
end

local next_ms = -1
local head = redis.call('ZRANGE', later, 0, 0, 'WITHSCORES')
if head[2] then
	next_ms = math.max(0, tonumber(head[2]) - now)
end
return {next_ms, lost, entries}
