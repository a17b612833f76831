-- SPDX-License-Identifier: MIT
-- depart.lua -- a worker is no longer of its team: it goes, or has died.
--
-- KEYS   1 zset of the team (beat.lua), 2 counter of those who came and went
-- ARGV   1 the worker's name
-- answer 1: it was of the team; 0: it was not
--
-- The others hear of it by the counter, in a full Redis too: removing comes
-- first, and behind a write what needs memory is not refused.
local left = redis.call('ZREM', KEYS[1], ARGV[1])
redis.pcall('INCR', KEYS[2])
return left
