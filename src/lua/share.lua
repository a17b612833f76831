-- SPDX-License-Identifier: MIT
-- share.lua -- a worker gives back slots, takes its share of those that are
-- free, and learns which are its own.
--
-- KEYS   1 hash of the team's slots, 2 zset of the team (beat.lua)
-- ARGV   1 own name, 2 number of slots, 3 lease (ms), 4 "1": take up to the
--        quota, "0": take nothing, we are leaving, 5 any 31 bits,
--        6 "slot token slot token ...": to give back, where they are still
--        ours by that token
-- answer {quota, wait (ms), slot, token, slot, token, ...}: all that is ours
--        now; wait: we have less than the quota and nothing is free, look
--        again after so long; 0: we have it
--
-- The hash has "<token> <owner>" for each slot, "<token> =<owner>" once it was
-- given back, and besides
--   =token    the last token; they only grow, by the clock even where the hash
--             was deleted
--   =leaving  the living who want nothing, separated by blanks; they do not
--             count for the quota, so that others can take what they give back
--   =quota, =free  of the latest call; a bell on the hash reads them
--
-- A slot is leased until the end of its owner's own lease in the zset, so one
-- beat renews them all, and who is no longer in the zset has lost them at once.
-- A lease that has run out while nobody beat does not count for one lease: see
-- beat.lua.  A call may be repeated; one that changes nothing writes nothing.
local hash, team = KEYS[1], KEYS[2]
local me, slots, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local want = ARGV[4] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

--@use full

local function seat(name)
	return string.match(name, '^(.*)%.') or name
end

-- Who lives, and when it is worth to look again.
local alive, count, look = {}, 0, now + lease
local function census()
	local scores = {}
	local list = redis.call('ZRANGE', team, 0, -1, 'WITHSCORES')
	for i = 1, #list, 2 do
		scores[list[i]] = tonumber(list[i + 1])
	end
	local since, last = scores['=since'], scores['=beat']
	if last and now - last > lease / 2 then
		since = now -- as the next beat will find
	end
	local spared = since and now < since + lease
	for name, score in pairs(scores) do
		local till = score
		if spared and score < now then
			till = since + lease - 1
		end
		if till >= now and string.sub(name, 1, 1) ~= '=' then
			alive[name] = true
			count = count + 1
			look = math.min(look, name == me and look or till)
		end
	end
	-- To be spared is not enough to take more.
	return scores[me] and scores[me] >= now
end

-- What stands in the hash, and what is to be written there.
local owner, token, other = {}, {}, {} -- token: only of our slots
local function load()
	local list = redis.call('HGETALL', hash)
	for i = 1, #list, 2 do
		local name, value = list[i], list[i + 1]
		local slot = tonumber(name)
		local blank = string.find(value, ' ', 1, true)
		if slot and blank then
			owner[slot] = string.sub(value, blank + 1)
			if owner[slot] == me then
				token[slot] = string.sub(value, 1, blank - 1)
			end
		else
			other[name] = value
		end
	end
end

local changes = {}
local function flush()
	if #changes > 0 then
		redis.call('HSET', hash, unpack(changes))
		changes = {}
	end
end
local function put(name, value)
	changes[#changes + 1] = name
	changes[#changes + 1] = value
	if #changes >= 2000 then
		flush() -- Lua hands over about 8,000 words at once
	end
end
local function put_other(name, value)
	if other[name] ~= value then
		put(name, value)
	end
end

local function give_back()
	for number, its in string.gmatch(ARGV[6], '(%d+) (%d+)') do
		local slot = tonumber(number)
		if owner[slot] == me and token[slot] == its then
			owner[slot] = '=' .. me
			put(slot, its .. ' ' .. owner[slot])
		end
	end
end

-- The list of those who leave, with us or without.
local function leavers()
	local names = {}
	for name in string.gmatch(other['=leaving'] or '', '%S+') do
		if alive[name] and name ~= me then
			names[#names + 1] = name
		end
	end
	if alive[me] and not want then
		names[#names + 1] = me
	end
	table.sort(names)
	if other['=leaving'] or #names > 0 then
		put_other('=leaving', table.concat(names, ' '))
	end
	return #names
end

-- The free ones in the order in which we take them, from the last: at random,
-- those of our seat last of all.
local function order(free)
	local home, mine, rest = seat(me), {}, {}
	math.randomseed(tonumber(ARGV[5]))
	for i = #free, 2, -1 do
		local k = math.random(i)
		free[i], free[k] = free[k], free[i]
	end
	for _, slot in ipairs(free) do
		local was = owner[slot] and string.gsub(owner[slot], '^=', '')
		local list = was and seat(was) == home and mine or rest
		list[#list + 1] = slot
	end
	for _, slot in ipairs(mine) do
		rest[#rest + 1] = slot
	end
	return rest
end

local function take(free, most)
	local last = tonumber(other['=token']) or 0
	local list = order(free)
	last = math.max(last, time[1] * 1000000 + time[2] - 1)
	for _ = 1, math.min(most, #list) do
		local slot = table.remove(list)
		last = last + 1
		token[slot] = string.format('%.0f', last)
		owner[slot] = me
		put(slot, token[slot] .. ' ' .. me)
	end
	put_other('=token', string.format('%.0f', last))
	return #list
end

go_on_when_full(team)
local well = census()
load()
give_back()
local quota = math.ceil(slots / math.max(1, count - leavers()))
local free, mine = {}, 0
for slot = 0, slots - 1 do
	if owner[slot] == me then
		mine = mine + 1
	end
	if not alive[owner[slot]] then
		free[#free + 1] = slot
	end
end
local left = #free
if want and well and mine < quota and left > 0 then
	left = take(free, quota - mine)
	mine = mine + #free - left
end
put_other('=quota', tostring(quota))
put_other('=free', tostring(left))
flush()

local answer = {quota, 0}
if want and mine < quota then
	answer[2] = look + 1 - now
end
for slot = 0, slots - 1 do
	if owner[slot] == me then
		answer[#answer + 1] = slot
		answer[#answer + 1] = token[slot]
	end
end
return answer
