-- SPDX-License-Identifier: MIT
-- delay.lua -- keep a message until it is due; promote.lua publishes it then.
--
-- KEYS   1 zset of the channel's delayed messages, 2 zset of all channels that
--        have some
-- ARGV   1 channel, 2 delay (ms), 3... names and values of the entry
-- answer when it is due (ms, by the clock of Redis), or an error: nothing was
--        done
local delayed, index = KEYS[1], KEYS[2]
local channel, delay = ARGV[1], tonumber(ARGV[2])
local WORDS_MAX = 7000 -- what promote.lua can hand to XADD at once

local function fault(key)
	local type = redis.call('TYPE', key).ok
	if type ~= 'zset' and type ~= 'none' then
		return 'WRONGTYPE ' .. key .. ' is a ' .. type
	end
end

local bad = fault(delayed) or fault(index)
if #ARGV - 2 > WORDS_MAX then
	bad = 'ERR too many fields for a delayed message'
end
if bad then
	return redis.error_reply(bad)
end
local words = {}
for i = 3, #ARGV do
	words[i - 2] = ARGV[i]
end
local body = cmsgpack.pack(words)
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + delay
local count = redis.call('ZCARD', delayed)
-- A clock that was set back may name a member that is there already.
while redis.call('ZADD', delayed, 'NX', due, string.format('%s%06d:%08d:%s',
    time[1], time[2], count, body)) == 0 do
	count = count + 1
end
redis.call('ZADD', index, 'LT', due, channel)
return due
