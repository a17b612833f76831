-- SPDX-License-Identifier: MIT
-- forget.lua -- remove the consumer of a worker that is gone.
--
-- DELCONSUMER throws away whatever is pending under the name, so looking and
-- deleting must be one step.  Its fence goes with it (see rescue.lua).
--
-- KEYS   1 stream of the channel, 2 zset of the team (beat.lua)
-- ARGV   1 group, 2 name
-- answer 1: it is gone; 0: it lives, or has entries pending: nothing was done
local stream, team = KEYS[1], KEYS[2]
local group, name = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local score = tonumber(redis.call('ZSCORE', team, name) or false)

if string.sub(name, 1, 1) == '=' or (score and score >= now) then
	return 0
end
local r = redis.pcall('XPENDING', stream, group, '-', '+', 1, name)
if r.err then
	return 1 -- NOGROUP: there is no consumer either
elseif #r > 0 then
	return 0
end
redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
redis.call('XGROUP', 'DELCONSUMER', stream, group, '=' .. name .. '.0')
return 1
