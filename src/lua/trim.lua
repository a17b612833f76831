-- SPDX-License-Identifier: MIT
--
-- trim.lua: make a channel shorter, never past unfinished work.
--
-- KEYS[1]  the channel's stream
-- ARGV[1]  maxlen: entries that are kept in any case
-- ARGV[2]  ... which teams hold the channel (use/holders.lua)
-- answer   {entries removed, entries that are left, passed, holder, young}
--          passed: teams that had not finished what was removed, but are not
--          waited for any longer, because of team-expire
--          holder: the team or group whose unfinished entries come first; ""
--          where nobody holds anything back
--          young: 1 where more stayed because it was published after that
--          list of teams was made
--          {0, 0, {}, "", 0} where the key is missing or no stream
--
-- An entry is unfinished while somebody who holds the channel has not been
-- given it, or has not acknowledged it.  Entries go in whole nodes of the
-- stream (~), at most LIMIT: Redis stops before a node that would exceed it, so
-- a LIMIT of (length - maxlen) keeps maxlen entries without looking for the id
-- of the oldest of them, and a node (100 entries by default) may stay above
-- that.  One call removes at most 10,000, so that it cannot hold up the server.
--
-- What came after the list of teams was made, may be for a team that is not on
-- it, and stays, unless its ids are not of the clock of this server.

local key = KEYS[1]
local maxlen = tonumber(ARGV[1])
local MOST, NODE = 10000, 100

--@use ids
--@use fields
--@use holders

-- The oldest entry that this group may still need.  What it was given last
-- stands for its successor: one entry too many, and no 64-bit sum.
local function needed(group)
	local oldest = group['last-delivered-id']
	if group.pending > 0 then
		local first =
			redis.call('XPENDING', key, group.name, '-', '+', 1)[1]
		if first and before(first[1], oldest) then
			oldest = first[1]
		end
	end
	return oldest
end

if redis.call('TYPE', key).ok ~= 'stream' then
	return {0, 0, {}, '', 0}
end
local length = redis.call('XLEN', key)
local excess = math.min(length - maxlen, MOST)
if excess <= 0 then
	return {0, length, {}, '', 0}
end

local teams = holders_at(2)
local oldest, holder, expired, groups = nil, '', {}, {}
for _, row in ipairs(redis.call('XINFO', 'GROUPS', key)) do
	local group = fields_of(row)
	local name = group.name
	groups[name] = true
	if teams.expired[name] then
		table.insert(expired, {name, needed(group)})
	elseif not teams.idle[name] then
		local id = needed(group)
		if not oldest or before(id, oldest) then
			oldest, holder = id, name
		end
	end
end
for _, name in ipairs(teams.expired) do
	if not groups[name] then
		table.insert(expired, {name, '0-0'})
	end
end
local without = holder_without(teams, groups)
if without then
	return {0, length, {}, without, 0}
end

local function has_future_ids()
	local time = redis.call('TIME')
	local next = time[1] * 1000 + math.floor(time[2] / 1000) + 1
	return #redis.call('XRANGE', key, string.format('%.0f', next), '+',
		'COUNT', 1) > 0
end

local young = teams.since .. '-0'
if has_future_ids() or (oldest and before(oldest, young)) then
	young = nil
end
local removed
if young or oldest then
	removed = redis.call('XTRIM', key, 'MINID', '~', young or oldest,
		'LIMIT', excess)
else
	removed = redis.call('XTRIM', key, 'MAXLEN', '~', maxlen,
		'LIMIT', excess)
end

-- Whom has it cost something that they had not finished?
local passed = {}
if removed > 0 and #expired > 0 then
	local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
	for _, e in ipairs(expired) do
		if not first or before(e[2], first[1]) then
			table.insert(passed, e[1])
		end
	end
end
return {removed, length - removed, passed, holder,
	(young and removed < excess - NODE) and 1 or 0}
