-- SPDX-License-Identifier: MIT
-- expire.lua -- remove a channel that was idle for long, with all that stands
-- beside it, unless somebody has not finished with it.
--
-- KEYS   1 stream of the channel, 2 zset of its delayed messages, 3 zset of
--        all channels, 4 stream of channels as they appear, 5 zset of all
--        teams (trim.lua), 6... what stands beside the channel for the groups
--        that ARGV names
-- ARGV   1 channel, 2 expire (ms), 3 team-expire (ms), 4... groups
-- answer 0: it stays; 1: it is gone; a list: it may go, but these are its
--        groups, and not all of them were named: nothing was done
--
-- Idle is judged by the last id that the stream gave, so foreign producers
-- count.  Spared are: delayed messages; entries that some group was not given,
-- or has not acknowledged, unless team-expire is over for it; and a stream
-- that never had an entry, but has groups: they wait for the first.
local stream, delayed, channels, new, teams = KEYS[1], KEYS[2], KEYS[3],
	KEYS[4], KEYS[5]
local channel = ARGV[1]
local expire, team_expire = tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

--@use fields

local function has_expired(name)
	local beat = redis.pcall('ZSCORE', teams, name)
	return type(beat) == 'string' and now - tonumber(beat) > team_expire
end

local function is_unfinished(group)
	if has_expired(group.name) then
		return false
	end
	return group.pending > 0 or #redis.call('XRANGE', stream,
		'(' .. group['last-delivered-id'], '+', 'COUNT', 1) > 0
end

local function is_named(name)
	for i = 4, #ARGV do
		if ARGV[i] == name then
			return true
		end
	end
	return false
end

-- nil: it stays; else the names of its groups.
local function groups_to_drop()
	local last = fields_of(redis.call('XINFO', 'STREAM', stream))[
		'last-generated-id']
	if now - tonumber(string.match(last, '^%d+')) < expire then
		return nil
	end
	local names = {}
	for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
		local group = fields_of(row)
		if last == '0-0' or is_unfinished(group) then
			return nil
		end
		table.insert(names, group.name)
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
for i = 6, #KEYS do
	redis.call('UNLINK', KEYS[i])
end
if redis.call('ZREM', channels, channel) == 1 then
	redis.call('XADD', new, 'MAXLEN', '~', 10000, '*', 'gone', channel)
end
return 1
