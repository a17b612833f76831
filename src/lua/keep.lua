-- SPDX-License-Identifier: MIT
-- keep.lua -- become the keeper of the deployment, stay it, or give it up.
--
-- KEYS   1 the lease: a string, the keeper's name, expiring
-- ARGV   1 own name, 2 lease (ms); 0: give it up
-- answer 1: it is ours; 0: it is not
--
-- In a full Redis, too: behind a write, what needs memory is not refused.  And
-- where a clock that was set back would have a dead keeper live longer, it is
-- given no more than a lease from now.
local key, me, lease = KEYS[1], ARGV[1], tonumber(ARGV[2])
local keeper = redis.call('GET', key)
if keeper and keeper ~= me then
	if redis.call('PTTL', key) > lease and lease > 0 then
		redis.call('PEXPIRE', key, lease)
	end
	return 0
elseif lease > 0 then
	redis.call('DEL', key)
	redis.call('SET', key, me, 'PX', lease)
	return 1
end
redis.call('DEL', key)
return 0
