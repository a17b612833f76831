-- SPDX-License-Identifier: MIT
--
-- trim.lua: make a channel shorter, never past unfinished work.
--
-- KEYS[1]  the channel's stream
-- KEYS[2]  zset of all teams: member = team, score = its latest beat (ms)
-- ARGV[1]  maxlen: entries that are kept in any case
-- ARGV[2]  team-expire (ms): a team that was not alive for longer than this no
--          longer holds anything back
-- answer   {entries removed, entries that are left, groups, holder}
--          groups: those that this call has passed, because of team-expire
--          holder: the group whose unfinished entries come first; "" where no
--          group holds anything back
--          {0, 0, {}, ""} where the key is missing or no stream
--
-- An entry is unfinished while some group has not been given it, or has not
-- acknowledged it.  Groups that are not in the zset are somebody else's, and
-- hold for ever.  Entries go in whole nodes of the stream (~), at most LIMIT:
-- Redis stops before a node that would exceed it, so a LIMIT of (length -
-- maxlen) keeps maxlen entries without looking for the id of the oldest of
-- them, and a node (100 entries by default) may stay above that.  One call
-- removes at most 10,000, so that it cannot hold up the server.

local key, teams = KEYS[1], KEYS[2]
local maxlen, expire = tonumber(ARGV[1]), tonumber(ARGV[2])
local most = 10000

--@use ids
--@use fields

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

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function has_expired(name)
	local beat = redis.pcall('ZSCORE', teams, name)
	return type(beat) == 'string' and now - tonumber(beat) > expire
end

if redis.call('TYPE', key).ok ~= 'stream' then
	return {0, 0, {}, ''}
end
local length = redis.call('XLEN', key)
local excess = math.min(length - maxlen, most)
if excess <= 0 then
	return {0, length, {}, ''}
end

local oldest, holder, expired, passed = nil, '', {}, {}
for _, row in ipairs(redis.call('XINFO', 'GROUPS', key)) do
	local group = fields_of(row)
	local id = needed(group)
	if has_expired(group.name) then
		table.insert(expired, {group.name, id})
	elseif not oldest or before(id, oldest) then
		oldest, holder = id, group.name
	end
end
local removed
if oldest then
	removed = redis.call('XTRIM', key, 'MINID', '~', oldest,
		'LIMIT', excess)
else
	removed = redis.call('XTRIM', key, 'MAXLEN', '~', maxlen,
		'LIMIT', excess)
end

-- Whom has it cost something that they had not finished?
if removed > 0 and #expired > 0 then
	local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
	for _, e in ipairs(expired) do
		if not first or before(e[2], first[1]) then
			table.insert(passed, e[1])
		end
	end
end
return {removed, length - removed, passed, holder}
