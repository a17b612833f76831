-- SPDX-License-Identifier: MIT
-- claim.lua -- the owner of a divided channel takes it over: plants its fence,
-- and takes what is pending, whoever had it, in the order of the channel.
--
-- KEYS   1 stream of the channel, 2 hash of failed attempts
-- ARGV   1 group, 2 own name, 3 token of the lease, 4 how many at most (1000
--        is the limit of one call), 5 the id after which to look ("-": from
--        the start)
-- answer {state, wait (ms), id to go on after ("": that was all), lost,
--         entries, id that the group was given last, how many it was not
--         given yet (0 where Redis does not tell)}
--        state 1: done; 0: there is no such stream; -1: a later owner has
--        planted its fence
--        wait: the next one in order waits so long for its retry; -1: none
--        lost: ids that were pending though their entry is gone; they are
--        acknowledged
--        entries: {id, {name, value, ...}, deliveries, failed attempts,
--        starts}
--
-- The fence is an empty consumer "=<owner>.<token>" of the group.  Tokens only
-- grow.  Every script that acts for the owner asks whether its fence is still
-- there, so an owner that was taken for dead and wakes up can do nothing.
-- What waits under "=later" is not in order any more; due.lua takes it.
local stream, tries = KEYS[1], KEYS[2]
local group, me, token = ARGV[1], ARGV[2], tonumber(ARGV[3])
local count, after = tonumber(ARGV[4]), ARGV[5]
local fence = '=' .. me .. '.' .. ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

--@use fields

if redis.call('TYPE', stream).ok ~= 'stream' then
	return {0, -1, '', {}, {}, '0-0', 0}
end
local made = redis.pcall('XGROUP', 'CREATE', stream, group, '0')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
	return made
end

-- Other fences: a higher one wins, lower ones are taken down.
local gone, planted = {}, false
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
	local consumer = fields_of(row)
	local name = consumer.name
	local other = string.match(name, '^=.*%.(%d+)$')
	if name == fence then
		planted = true
	elseif other and tonumber(other) > token then
		return {-1, -1, '', {}, {}, '0-0', 0}
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

local lost, entries, wait, seen = {}, {}, -1, 0
local from = after == '-' and '-' or '(' .. after
local rows = redis.call('XPENDING', stream, group, from, '+', count)
for _, row in ipairs(rows) do
	local id, consumer = row[1], row[2]
	if consumer ~= '=later' then
		local t = tries_of(id)
		local due = tonumber(t[3] or 0)
		if due and due > now then
			wait = due - now
			break
		end
		local entry = take(id, consumer)
		if entry then
			table.insert(entries, {id, entry[2],
				row[4] + (consumer == me and 0 or 1),
				t[1] or 0, t[2] or 0})
		else
			redis.call('XACK', stream, group, id)
			redis.pcall('HDEL', tries, id, id .. '!', id .. '@')
			table.insert(lost, id)
		end
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
return {1, wait, (seen == count and wait < 0) and after or '', lost, entries,
	last, behind}
