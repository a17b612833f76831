-- SPDX-License-Identifier: MIT
-- beat.lua -- a worker says that it is alive, and learns who else is.
--
-- KEYS   1 zset of the team: member = worker, score = end of its lease (ms)
--        2 zset of all teams: member = team, score = its latest beat (ms)
--        3 counter of those who came and went, which rings where beats do not
-- ARGV   1 the worker's name, 2 its lease (ms), 3 the team's name
-- answer {now (ms), how long no lease counts as run out (ms, 0: they do),
--         1 where the worker counted as dead before this beat,
--         member, score, member, score, ...}
--
-- Two members are no workers: "=beat" has the time of the latest beat of
-- anybody, "=since" the time when the present, unbroken row of beats began.
-- Both lie in the past, so they never count as alive.  A row is broken when
-- nobody beat for half a lease: then Redis itself was away, everybody's lease
-- has run out though nobody died, and for one lease that does not count.  Who
-- left, or whose death was reported, is no longer in the zset.
--
-- A latest beat that lies in the future says that the clock of Redis was set
-- back: then all times in the zset are set back with it, and the dead do not
-- count as alive for as long as that was.
local team, name, lease = KEYS[1], ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('ZSCORE', team, '=beat') or false)
local since = tonumber(redis.call('ZSCORE', team, '=since') or false)
local mine = tonumber(redis.call('ZSCORE', team, name) or false)

--@use full

go_on_when_full(team)
if last and last > now then
	local back = last - now
	local list = redis.call('ZRANGE', team, 0, -1)
	for _, member in ipairs(list) do
		redis.call('ZINCRBY', team, -back, member)
	end
	last, since = now, since and since - back
	mine = mine and mine - back
end
if last == nil or since == nil then
	since = now - lease -- a team's first beat: there is nothing to spare
elseif now - last > lease / 2 then
	since = now
end
redis.call('ZADD', team, now, '=beat', since, '=since', now + lease, name)
if mine == nil then
	redis.pcall('INCR', KEYS[3])
end
-- Whatever somebody has put there instead, a worker goes on living.
redis.pcall('ZADD', KEYS[2], now, ARGV[3])
-- Those who have been dead for long are known by their pending entries.
if now >= since + lease then
	for _, old in ipairs(redis.call('ZRANGEBYSCORE', team, '-inf',
					now - 2 * lease)) do
		if string.sub(old, 1, 1) ~= '=' then
			redis.call('ZREM', team, old)
		end
	end
end

local answer = redis.call('ZRANGE', team, 0, -1, 'WITHSCORES')
local lapsed = 0
if mine == nil or mine < now then
	lapsed = 1
end
table.insert(answer, 1, lapsed)
table.insert(answer, 1, math.max(0, since + lease - now))
table.insert(answer, 1, now)
return answer
