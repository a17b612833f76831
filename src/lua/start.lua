-- SPDX-License-Identifier: MIT
-- start.lua -- note that an entry is about to be run alone.
--
-- Written before the handler gets it, so that it counts although whoever runs
-- it may end (max-crashes).
--
-- KEYS   1 stream of the channel, 2 hash of failed attempts
-- ARGV   1 group, 2 own name, 3 id, 4 how many starts that makes; one less
--        where it was not run after all, 5 fence (the consumer without which
--        nothing is ours; "": none)
-- answer 1: noted; 0: it is not pending under my name
--
-- The number is given, not counted here, so that it may be sent twice.
local stream, tries = KEYS[1], KEYS[2]
local group, me, id, starts = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local fence = ARGV[5]

--@use fence

local rows = redis.pcall('XPENDING', stream, group, id, id, 1, me)
if rows.err or #rows == 0 or
    (fence ~= '' and is_fenced(stream, group, fence)) then
	return 0
end
redis.call('HDEL', tries, id .. '!')
if starts ~= '0' then -- behind a write it works in a full Redis, too
	redis.call('HSET', tries, id .. '!', starts)
end
return 1
