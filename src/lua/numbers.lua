-- SPDX-License-Identifier: MIT
-- numbers.lua -- how far each group is behind in one channel.
--
-- KEYS   1 stream of the channel
-- answer {} where there is no such stream, else
--        {length, last id ever given, id of the first entry ("": none),
--         group, group, ...}
--        group {name, entries it was not given, 1 where that was counted or
--               0: at least so many, pending, oldest unfinished id ("": none),
--               consumer, its pending, consumer, its pending, ...}
--
-- XINFO's own lag is wrong after entries were trimmed that the group had not
-- read (before Redis 8), nil after XDEL, and missing in Redis 6.2.  So it is
-- used only where it can be right, else entries are counted, 10,000 or 4 MB of
-- them at most: a script holds up everybody.
local key = KEYS[1]
local MOST, MOST_BYTES, PAGE = 10000, 4000000, 100

--@use ids

--@use fields

-- Up to n entries behind an id; none behind the largest one.
local function behind(id, n)
	local page = redis.pcall('XRANGE', key, '(' .. id, '+', 'COUNT', n)
	return page.err and {} or page
end

local function count_behind(id)
	local n, bytes, page = 0, 0, nil
	repeat
		page = behind(id, PAGE)
		n = n + #page
		for _, entry in ipairs(page) do
			id = entry[1]
			for _, word in ipairs(entry[2]) do
				bytes = bytes + #word
			end
		end
	until #page < PAGE or n >= MOST or bytes >= MOST_BYTES
	return n, #page < PAGE and 1 or 0
end

if redis.call('TYPE', key).ok ~= 'stream' then
	return {}
end
local stream = fields_of(redis.call('XINFO', 'STREAM', key))
local first = stream['first-entry']
local last = stream['last-generated-id']

-- Number of entries that the group was not given, is it exact, the first.
local function lag_of(group)
	local id = group['last-delivered-id']
	if not first or not before(id, last) then
		return 0, 1, ''
	elseif before(id, first[1]) then
		return stream.length, 1, first[1]
	end
	local page = behind(id, 1)
	if #page == 0 then
		return 0, 1, ''
	end
	local lag = group.lag
	if type(lag) == 'number' and lag >= 1 and lag < stream.length then
		return lag, 1, page[1][1]
	end
	local n, exact = count_behind(id)
	return n, exact, page[1][1]
end

local answer = {stream.length, last, first and first[1] or ''}
for _, row in ipairs(redis.call('XINFO', 'GROUPS', key)) do
	local group = fields_of(row)
	local lag, exact, oldest = lag_of(group)
	local line = {group.name, lag, exact, group.pending, oldest}
	if group.pending > 0 then
		local sum = redis.call('XPENDING', key, group.name)
		if oldest == '' or before(sum[2], oldest) then
			line[5] = sum[2]
		end
		for _, consumer in ipairs(sum[4]) do
			table.insert(line, consumer[1])
			table.insert(line, consumer[2])
		end
	end
	table.insert(answer, line)
end
return answer
