-- SPDX-License-Identifier: MIT
-- numbers.lua -- how far each group is behind in one channel.
--
-- KEYS   1 stream of the channel
-- ARGV   may be missing: 1 bytes that may be read to count, of all groups
--        together (4 MB), 2 the only group that is asked for (all)
-- answer {} where there is no such stream, else
--        {length, last id ever given, id of the first entry ("": none),
--         group, group, ...}
--        group {name, entries it was not given, 1 where that was counted or
--               0: at least so many, pending, oldest unfinished id ("": none),
--               consumer, its pending, consumer, its pending, ...}
--
-- XINFO's own lag is wrong after entries were trimmed that the group had not
-- read (before Redis 8), nil after XDEL, and missing in Redis 6.2.  So it is
-- used only where it can be right, else entries are counted, 10,000 at most and
-- as many as those bytes allow: a script holds up everybody.  Pages begin with
-- one entry, and are as long as what was seen of them allows.
local key = KEYS[1]
local budget, only = tonumber(ARGV[1] or 4000000), ARGV[2]
local MOST, PAGE = 10000, 100

--@use ids

--@use fields

-- Up to n entries behind an id; none behind the largest one.
local function behind(id, n)
	local page = redis.pcall('XRANGE', key, '(' .. id, '+', 'COUNT', n)
	return page.err and {} or page
end

local function bytes_of(page)
	local bytes = 0
	for _, entry in ipairs(page) do
		for _, word in ipairs(entry[2]) do
			bytes = bytes + #word
		end
	end
	return bytes
end

-- Counts on behind an entry that was read.
local function count_behind(entry)
	local id, n, bytes, size, page = entry[1], 1, bytes_of({entry}), 1, nil
	local left = budget - bytes
	while n < MOST and left > 0 do
		size = math.max(1, math.min(PAGE, size * 2, MOST - n,
			math.floor(left * n / math.max(1, bytes))))
		page = behind(id, size)
		n = n + #page
		if #page < size then
			budget = left
			return n, 1
		end
		id = page[#page][1]
		local more = bytes_of(page)
		bytes, left = bytes + more, left - more
	end
	budget = left
	return n, 0
end

if redis.call('TYPE', key).ok ~= 'stream' then
	return {}
end
local stream = fields_of(redis.call('XINFO', 'STREAM', key))
local first = stream['first-entry']
local last = stream['last-generated-id']

-- Number of entries that the group was not given, is it exact, the first.
local counted = {} -- by the id that a group was given last
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
	local c = counted[id] or {count_behind(page[1])}
	counted[id] = c
	return c[1], c[2], page[1][1]
end

local function line_of(group)
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
	return line
end

local answer = {stream.length, last, first and first[1] or ''}
for _, row in ipairs(redis.call('XINFO', 'GROUPS', key)) do
	local group = fields_of(row)
	if not only or group.name == only then
		table.insert(answer, line_of(group))
	end
end
return answer
