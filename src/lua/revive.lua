-- SPDX-License-Identifier: MIT
-- revive.lua -- give a dead letter back to its team, exactly once.
--
-- KEYS   1 stream of the channel, 2 hash of failed attempts, 3 zset of due
--        times, 4 stream of dead letters
-- ARGV   1 group, 2 id of the letter, 3 "1": where the original is gone,
--        publish a copy
-- answer {code, id}
--        1: the original waits for its team, as if it had never run; 2: the
--        team has it anyway, the letter alone was removed; 3: a copy with that
--        id was published, for everybody who follows the channel
--        0: there is no such letter (any more); -1: the original is gone from
--        the channel; -2: the team has no group there: nothing was done
--
-- Looking, giving back and removing the letter are one step, so that two
-- operators, or one who repeats himself, give it back once.
local stream, tries, later, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, letter, copy = ARGV[1], ARGV[2], ARGV[3] == '1'
-- What commit.lua puts behind the original fields, in this order.
local OWN = {'channel', 'id', 'deliveries', 'reason', 'error', 'worker', 'time'}

--@use ids

-- The original's fields and its id; nil where it is no letter of ours.
local function open_letter(words)
	local base = #words - 2 * #OWN
	for i, name in ipairs(OWN) do
		if words[base + 2 * i - 1] ~= name then
			return nil
		end
	end
	local fields = {}
	for i = 1, base do
		fields[i] = words[i]
	end
	local id = words[base + 4]
	if not string.match(id, '^%d+-%d+$') then
		return nil
	end
	return fields, id
end

-- The id that the group was given last; nil: there is no such group.
local function last_given()
	for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
		local map = {}
		for i = 1, #row, 2 do
			map[row[i]] = row[i + 1]
		end
		if map.name == group then
			return map['last-delivered-id']
		end
	end
end

local found = redis.call('XRANGE', dead, letter, letter)[1]
if not found then
	return {0, ''}
end
local fields, id = open_letter(found[2])
if not fields then
	return redis.error_reply('ERR the letter ' .. letter ..
				 ' does not say where it comes from')
end

local there = redis.call('TYPE', stream).ok == 'stream' and
	redis.call('XRANGE', stream, id, id)[1]
if not there then
	if not copy or #fields == 0 then
		return {-1, id}
	end
	local new = redis.call('XADD', stream, '*', unpack(fields))
	redis.call('XDEL', dead, letter)
	return {3, new}
end

local given = last_given()
if not given then
	return {-2, id}
end
if before(given, id) or
    #redis.call('XPENDING', stream, group, id, id, 1) > 0 then
	redis.call('XDEL', dead, letter)
	return {2, id}
end
local time = redis.call('TIME')
redis.call('ZADD', later, time[1] * 1000 + math.floor(time[2] / 1000), id)
redis.call('XCLAIM', stream, group, '=later', 0, id, 'RETRYCOUNT', 0, 'FORCE',
	   'JUSTID')
redis.pcall('HDEL', tries, id, id .. '!', id .. '@')
redis.call('XDEL', dead, letter)
-- Moving an entry is no change of the stream that would ring (doorbell.h).
local ttl = redis.call('PTTL', stream)
redis.call('PEXPIRE', stream, ttl > 0 and ttl or 86400000)
if ttl < 0 then
	redis.call('PERSIST', stream)
end
return {1, id}
