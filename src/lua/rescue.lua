-- SPDX-License-Identifier: MIT
-- rescue.lua -- take over what is pending under the name of a dead worker,
-- or what is pending under one's own name although one does not hold it.
--
-- KEYS   1 stream of the channel, 2 hash of failed attempts, 3 zset of the
--        team (beat.lua)
-- ARGV   1 group, 2 name to take from, 3 own name, 4 lease (ms),
--        5 how many at most (1000 is the limit of one call),
--        6... where 2 and 3 are the same: the ids to take
-- answer {state, wait (ms), lost, entries, 1 where there is more}
--        state 1: done; 0: that worker lives, nothing was taken; -1: its lease
--        has run out, but that does not count now: ask again after wait
--        lost: ids that were pending though their entry is gone; they are
--        acknowledged
--        entries: {id, {name, value, ...}, deliveries, failed attempts,
--        starts}
--        fewer than asked for where they are large
--
-- Any number of workers may call this at once: an entry is moved only while it
-- is pending under the name that it is taken from.  First the fence of that
-- worker is taken down, which tells its commits that something was taken.
local stream, tries, team = KEYS[1], KEYS[2], KEYS[3]
local group, from, me = ARGV[1], ARGV[2], ARGV[3]
local lease, count = tonumber(ARGV[4]), tonumber(ARGV[5])

--@use full
--@use bytes

local function pending(first, last, n)
	local r = redis.pcall('XPENDING', stream, group, first, last, n, from)
	return r.err and {} or r -- NOGROUP: nothing is pending
end

-- 1: may be taken from; else state and wait for the answer.
local function judge()
	local time = redis.call('TIME')
	local now = time[1] * 1000 + math.floor(time[2] / 1000)
	local score = tonumber(redis.call('ZSCORE', team, from) or false)
	local since = tonumber(redis.call('ZSCORE', team, '=since') or 0)
	local beat = tonumber(redis.call('ZSCORE', team, '=beat') or 0)

	-- Redis was away, and nobody has beaten since (beat.lua).
	if now - beat > lease / 2 then
		since = now
	end

	if string.sub(from, 1, 1) == '=' or (score and score >= now) then
		return 0, 0
	elseif score and now < since + lease then
		return -1, since + lease - now
	end
	return 1, 0
end

local found = {}
if from == me then
	for i = 6, #ARGV do
		for _, row in ipairs(pending(ARGV[i], ARGV[i], 1)) do
			table.insert(found, row)
		end
	end
else
	local state, wait = judge()
	if state ~= 1 then
		return {state, wait, {}, {}, 0}
	end
	redis.pcall('XGROUP', 'DELCONSUMER', stream, group, '=' .. from .. '.0')
	found = pending('-', '+', count)
end
go_on_when_full(team)
local lost, entries, bytes, more = {}, {}, 0, 0
for _, row in ipairs(found) do
	local id = row[1]
	if bytes >= MOST_BYTES then
		more = 1
		break
	end
	-- An entry that is gone is left out, or is false (Redis 6.2).
	local entry = redis.call('XCLAIM', stream, group, me, 0, id)[1]
	if entry then
		local t = redis.call('HMGET', tries, id, id .. '!')
		table.insert(entries, {id, entry[2], row[4] + 1, t[1] or 0,
				       t[2] or 0})
		bytes = bytes + bytes_of(entry[2])
	else
		redis.call('XACK', stream, group, id)
		redis.call('HDEL', tries, id, id .. '!', id .. '@')
		table.insert(lost, id)
	end
end
if from ~= me and #found == count then
	more = 1
end
return {1, 0, lost, entries, more}
