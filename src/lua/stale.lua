-- SPDX-License-Identifier: MIT
-- stale.lua -- remove questions that nobody waits for any more.
--
-- KEYS   1 stream: the events
-- ARGV   1 id to begin after, 2 age (ms) from which on a question is stale,
--        3 most entries, 4 most bytes of them, that are looked at
-- answer {id that was looked at last, questions removed, 1 where there may be
--        more to do at once, else 0}
--
-- A question is an entry with a field `ask`.  Whoever put it has given up, and
-- a worker that finds it now would not run it, so that no work is lost; what
-- awaits no answer stays until it is trimmed like any message.  The walk ends
-- at the first entry that is younger.  By Redis' own clock, which also made the
-- ids.
local key, at = KEYS[1], ARGV[1]
local most, bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local now = redis.call('TIME')
local before = now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(ARGV[2])
local looked, removed = 0, 0

while looked < most and bytes > 0 do
	local entry = redis.call('XRANGE', key, '(' .. at, '+', 'COUNT', 1)[1]
	if not entry or tonumber(string.match(entry[1], '^%d+')) > before then
		return {at, removed, 0}
	end
	at = entry[1]
	looked = looked + 1
	local fields, asks = entry[2], false
	for i = 1, #fields, 2 do
		asks = asks or fields[i] == 'ask'
		bytes = bytes - #fields[i] - #fields[i + 1]
	end
	if asks then
		removed = removed + redis.call('XDEL', key, at)
	end
end
return {at, removed, 1}
