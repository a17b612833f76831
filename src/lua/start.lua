-- SPDX-License-Identifier: MIT
-- start.lua -- note that an entry is about to be run alone.
--
-- Written before the handler gets it, so that it counts although whoever runs
-- it may end (max-crashes).
--
-- KEYS   1 stream of the channel, 2 hash of failed attempts
-- ARGV   1 group, 2 own name, 3 id, 4 how many starts that makes; one less
--        where it was not run after all
-- answer 1: noted; 0: it is not pending under my name
--
-- The number is given, not counted here, so that it may be sent twice.
local stream, tries = KEYS[1], KEYS[2]
local group, me, id, starts = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local rows = redis.pcall('XPENDING', stream, group, id, id, 1, me)
if rows.err or #rows == 0 then
	return 0
end
if starts == '0' then
	redis.call('HDEL', tries, id .. '!')
else
	redis.call('HSET', tries, id .. '!', starts)
end
return 1
