-- SPDX-License-Identifier: MIT
-- expire.lua -- remove a channel that was idle for long, with all that stands
-- beside it, unless somebody has not finished with it.
--
-- KEYS   1 stream of the channel, 2 zset of its delayed messages, 3 zset of
--        all channels, 4 stream of channels as they appear, 5... what stands
--        beside the channel for the groups that ARGV names
-- ARGV   1 channel, 2 expire (ms), 3... which teams hold the channel
--        (use/holders.lua), and behind that the names of groups
-- answer 0: it stays; 1: it is gone; a list: it may go, but these are its
--        groups, and not all of them were named: nothing was done
--
-- Idle is judged by the last id that the stream gave, so foreign producers
-- count.  Spared are: delayed messages; entries that somebody who holds the
-- channel was not given, or has not acknowledged; a stream that never had an
-- entry, but has groups that hold it: they wait for the first; and what had an
-- entry after the list of teams was made, as in trim.lua.
local stream, delayed, channels, new = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local channel, expire = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

--@use fields
--@use holders

local teams, first_group = holders_at(3)

local function is_unfinished(group)
	return group.pending > 0 or #redis.call('XRANGE', stream,
		'(' .. group['last-delivered-id'], '+', 'COUNT', 1) > 0
end

local function is_named(name)
	for i = first_group, #ARGV do
		if ARGV[i] == name then
			return true
		end
	end
	return false
end

-- nil: it stays; else the names of its groups.
local function groups_to_drop()
	local info = fields_of(redis.call('XINFO', 'STREAM', stream))
	local last = info['last-generated-id']
	local ms = tonumber(string.match(last, '^%d+'))
	if now - ms < expire or ms >= tonumber(teams.since) then
		return nil
	end
	local names, set = {}, {}
	for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
		local group = fields_of(row)
		local name = group.name
		if not teams.expired[name] and not teams.idle[name] and
		    (last == '0-0' or is_unfinished(group)) then
			return nil
		end
		table.insert(names, name)
		set[name] = true
	end
	if info.length > 0 and holder_without(teams, set) then
		return nil
	end
	return names
end

local kind = redis.call('TYPE', stream).ok
if redis.call('EXISTS', delayed) == 1 or
    (kind ~= 'stream' and kind ~= 'none') then
	return 0
end
local groups = {}
if kind == 'stream' then
	groups = groups_to_drop()
	if not groups then
		return 0
	end
end
for _, name in ipairs(groups) do
	if not is_named(name) then
		return groups
	end
end
redis.call('UNLINK', stream)
for i = 5, #KEYS do
	redis.call('UNLINK', KEYS[i])
end
if redis.call('ZREM', channels, channel) == 1 then
	redis.call('XADD', new, 'MAXLEN', '~', 10000, '*', 'gone', channel)
end
return 1
