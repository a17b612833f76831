-- SPDX-License-Identifier: MIT
-- conf.lua -- agree on what a team consumes, and how.
--
-- KEYS   1 hash: <prefix>:conf:<team>
-- ARGV   1 channels and patterns, sorted, one a line; '': nothing, which
--        agrees with everything; 2 "shared" or "ordered"; 3 what to do:
--        "ask" (write nothing), "join", or "replace" what is there
-- answer {"agreed", "new", "differs" or "replaced", and the channels and the
--        mode that stood there before, '' where there were none}
--
-- The fields are `consume` and `mode`; others of the hash are left alone.
-- What was there is removed first: behind a write, a full Redis does not refuse
-- what needs memory.
local conf, consume, mode, verb = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local had = redis.call('HMGET', conf, 'consume', 'mode')
local was, was_mode = had[1] or '', had[2] or ''

if consume == '' then
	return {'agreed', was, was_mode}
end
local outcome = 'new'
if was ~= '' then
	if was == consume and was_mode == mode then
		return {'agreed', was, was_mode}
	end
	outcome = 'differs'
	if verb == 'replace' then
		outcome = 'replaced'
	end
end
if outcome == 'replaced' or (outcome == 'new' and verb ~= 'ask') then
	redis.call('HDEL', conf, 'consume', 'mode')
	redis.call('HSET', conf, 'consume', consume, 'mode', mode)
end
return {outcome, was, was_mode}
