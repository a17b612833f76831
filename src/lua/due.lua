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
--        lost and entries as in rescue.lua; fewer than asked for where they
--        are large
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
--@use full
--@use bytes
--@use wait

if fence ~= '' and is_fenced(stream, group, fence) then
	return {-1, {}, {}}
end
go_on_when_full(later)
if ARGV[4] == '1' then
	-- Only somebody else can have removed them from the zset.
	local rows = pending('-', '+', 1000)
	if #rows > redis.call('ZCARD', later) then
		for _, row in ipairs(rows) do
			redis.call('ZADD', later, 'NX', now, row[1])
		end
	end
end

-- The earliest that is left, and how long it waits (-1: none is left).
local function head()
	local id, due = unpack(redis.call('ZRANGE', later, 0, 0, 'WITHSCORES'))
	if not id then
		return nil, -1
	end
	local wait = math.max(0, due - now)
	if wait > 0 then
		-- Perhaps it is only the clock that was set back.
		local told = redis.pcall('HGET', tries, id .. '@')
		local short = type(told) == 'string' and
			wait_of(tries, id, told, now) or wait
		if short < wait then
			redis.call('ZADD', later, now + short, id)
			wait = short
		end
	end
	return id, wait
end

local lost, entries, bytes = {}, {}, 0
local id, wait = head()
while count > 0 and wait == 0 and bytes < MOST_BYTES do
	redis.call('ZREM', later, id)
	for _, row in ipairs(pending(id, id, 1)) do
		-- An entry that is gone is left out, or is false (Redis 6.2).
		local entry = redis.call('XCLAIM', stream, group, me, 0, id)[1]
		if entry then
			local t = redis.call('HMGET', tries, id, id .. '!')
			table.insert(entries, {id, entry[2], row[4] + 1,
					       t[1] or 0, t[2] or 0})
			bytes = bytes + bytes_of(entry[2])
		else
			redis.call('XACK', stream, group, id)
			redis.call('HDEL', tries, id, id .. '!', id .. '@')
			table.insert(lost, id)
		end
		count = count - 1
	end
	id, wait = head()
end
return {wait, lost, entries}
