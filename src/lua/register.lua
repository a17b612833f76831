-- SPDX-License-Identifier: MIT
-- register.lua -- make channels known that only a foreign XADD has made.
--
-- KEYS   1 zset of all channels, 2 stream of channels as they appear, 3...
--        what may be streams of channels
-- ARGV   the channels' names, in the same order
-- answer how many of them were streams, and not known
local channels, new = KEYS[1], KEYS[2]
local added = 0
for i, name in ipairs(ARGV) do
	if redis.call('TYPE', KEYS[i + 2]).ok == 'stream' and
	    redis.call('ZADD', channels, 'NX', 0, name) == 1 then
		redis.call('XADD', new, 'MAXLEN', '~', 10000, '*', 'channel',
			name)
		added = added + 1
	end
end
return added
