-- SPDX-License-Identifier: MIT
-- claim.lua -- the owner of a divided channel takes it over: plants its fence,
-- and takes what is pending, whoever had it, in the order of the channel.
--
-- KEYS   1 stream of the channel, 2 hash of failed attempts, 3 zset of due
--        times (commit.lua)
-- ARGV   1 group, 2 own name, 3 token of the lease, 4 generation: a number
--        that the owner raises with each claim from the start, 5 how many at
--        most (1000 is the limit of one call), 6 the id after which to look
--        ("-": from the start)
-- answer {state, wait (ms), id to go on after ("": that was all), lost,
--         entries, id that the group was given last, how many it was not
--         given yet (0 where Redis does not tell), ms until the earliest due
--         time (-1: none)}
--        state 1: done; 0: there is no such stream; -1: a later owner, or a
--        later claim, has planted its fence
--        wait: the next one in order waits so long for its retry; -1: none
--        lost: ids that were pending though their entry is gone; they are
--        acknowledged
--        entries: {id, {name, value, ...}, deliveries, failed attempts,
--        starts}; fewer than asked for where they are large
--
-- The fence is an empty consumer "=<owner>.<token>-<generation>" of the group.
-- Tokens only grow, from owner to owner; generations, from claim to claim of
-- one owner.  Every script that acts for the owner asks whether its fence is
-- still there.  So an owner that was taken for dead and wakes up can do
-- nothing, and what an owner said before its latest claim, on a link that has
-- broken since, does nothing when it arrives.
-- What waits under "=later" is not in order any more; due.lua takes it.
local stream, tries, later = KEYS[1], KEYS[2], KEYS[3]
local group, me, token = ARGV[1], ARGV[2], tonumber(ARGV[3])
local generation = tonumber(ARGV[4])
local count, after = tonumber(ARGV[5]), ARGV[6]
local fence = '=' .. me .. '.' .. ARGV[3] .. '-' .. ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

--@use fields
--@use full
--@use bytes
--@use wait

if redis.call('TYPE', stream).ok ~= 'stream' then
	return {0, -1, '', {}, {}, '0-0', 0, -1}
end
go_on_when_full(later)
local made = redis.pcall('XGROUP', 'CREATE', stream, group, '0')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
	return made
end

-- Other fences: a higher one wins, lower ones are taken down.
local gone, planted = {}, false
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
	local consumer = fields_of(row)
	local name = consumer.name
	local other, turn = string.match(name, '^=.*%.(%d+)%-?(%d*)$')
	other, turn = tonumber(other), tonumber(turn) or 0
	if name == fence then
		planted = true
	elseif other and (other > token or
	    (other == token and turn > generation)) then
		return {-1, -1, '', {}, {}, '0-0', 0, -1}
	elseif other or (name ~= me and string.sub(name, 1, 1) ~= '=') then
		table.insert(gone, name)
	end
end
if not planted then
	redis.call('XGROUP', 'CREATECONSUMER', stream, group, fence)
end

local function tries_of(id)
	local r = redis.pcall('HMGET', tries, id, id .. '!', id .. '@')
	return r.err and {} or r
end

-- A body without taking it anew: what is ours was never with anybody else.
local function take(id, consumer)
	if consumer == me then
		return redis.call('XRANGE', stream, id, id)[1]
	end
	local claimed = redis.call('XCLAIM', stream, group, me, 0, id)
	return claimed[1] or nil
end

local lost, entries, wait, seen, bytes = {}, {}, -1, 0, 0
local from = after == '-' and '-' or '(' .. after
local rows = redis.call('XPENDING', stream, group, from, '+', count)
for _, row in ipairs(rows) do
	local id, consumer = row[1], row[2]
	if bytes >= MOST_BYTES then
		break
	end
	if consumer ~= '=later' then
		local t = tries_of(id)
		wait = wait_of(tries, id, t[3], now)
		if wait > 0 then
			break
		end
		wait = -1
		local entry = take(id, consumer)
		if entry then
			table.insert(entries, {id, entry[2],
				row[4] + (consumer == me and 0 or 1),
				t[1] or 0, t[2] or 0})
			bytes = bytes + bytes_of(entry[2])
		else
			redis.call('XACK', stream, group, id)
			redis.pcall('HDEL', tries, id, id .. '!', id .. '@')
			table.insert(lost, id)
		end
	else
		redis.pcall('ZADD', later, 'NX', now, id) -- has it lost it?
	end
	after = id
	seen = seen + 1
end

-- Nobody is called by these names any more.
for _, name in ipairs(gone) do
	if #redis.call('XPENDING', stream, group, '-', '+', 1, name) == 0 then
		redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
	end
end

local last, behind = '0-0', 0
for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
	local g = fields_of(row)
	if g.name == group then
		last = g['last-delivered-id']
		behind = g.lag or 0
	end
end
local head = redis.pcall('ZRANGE', later, 0, 0, 'WITHSCORES')
local due = tonumber(head[2]) and math.max(0, head[2] - now) or -1
local more = wait < 0 and (seen == count or seen < #rows)
return {1, wait, more and after or '', lost, entries, last, behind, due}
