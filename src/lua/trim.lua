-- SPDX-License-Identifier: MIT
--
-- trim.lua: make a channel shorter, never past unfinished work.
--
-- KEYS[1]  the channel's stream
-- ARGV[1]  maxlen: entries that are kept in any case
-- answer   entries removed; 0 where the key is missing or no stream
--
-- An entry is unfinished while some group has not been given it, or has not
-- acknowledged it.  Entries go in whole nodes of the stream (~), at most
-- LIMIT: Redis stops before a node that would exceed it, so a LIMIT of
-- (length - maxlen) keeps maxlen entries without looking for the id of the
-- oldest of them, and a node (100 entries by default) may stay above that.
-- One call removes at most 10,000, so that it cannot hold up the server.

local key, maxlen = KEYS[1], tonumber(ARGV[1])
local most = 10000

-- Decimal numbers of up to 20 digits: too long for Lua's own.
local function number_before(a, b)
	if #a ~= #b then
		return #a < #b
	end
	return a < b
end

local function before(a, b)
	local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
	local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
	if a_ms ~= b_ms then
		return number_before(a_ms, b_ms)
	end
	return number_before(a_seq, b_seq)
end

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
	return 0
end
local excess = redis.call('XLEN', key) - maxlen
if excess <= 0 then
	return 0
end
excess = math.min(excess, most)

local oldest
for _, row in ipairs(redis.call('XINFO', 'GROUPS', key)) do
	local group = {}
	for i = 1, #row, 2 do
		group[row[i]] = row[i + 1]
	end
	local id = needed(group)
	if not oldest or before(id, oldest) then
		oldest = id
	end
end
if not oldest then
	return redis.call('XTRIM', key, 'MAXLEN', '~', maxlen,
		'LIMIT', excess)
end
return redis.call('XTRIM', key, 'MINID', '~', oldest, 'LIMIT', excess)
