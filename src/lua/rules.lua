-- SPDX-License-Identifier: MIT
-- rules.lua -- agree on what clients of all gateways may do.
--
-- KEYS   1 string: <prefix>:rules
-- ARGV   1 the rules, as agree.c writes them; 2 what to do: "ask" (write
--        nothing), "join", or "replace" what is there
-- answer {"agreed", "new", "differs" or "replaced", and what stood there
--        before, '' where there was nothing}
--
-- What was there is removed first: behind a write, a full Redis does not refuse
-- what needs memory.
local key, rules, verb = KEYS[1], ARGV[1], ARGV[2]
local was = redis.call('GET', key)

if was == rules then
	return {'agreed', was}
end
local outcome = 'new'
if was then
	outcome = verb == 'replace' and 'replaced' or 'differs'
end
if outcome == 'replaced' or (outcome == 'new' and verb ~= 'ask') then
	redis.call('DEL', key)
	redis.call('SET', key, rules)
end
return {outcome, was or ''}
