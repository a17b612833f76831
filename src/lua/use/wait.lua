-- SPDX-License-Identifier: MIT
-- How long an entry waits for its retry (ms; 0: no longer).  `told` is what
-- commit.lua has noted of it: when it is due, and how long that was then.  If
-- the clock of Redis was set back since, it does not wait longer than that.
local function wait_of(tries, id, told, now)
	local due, delay = string.match(told or '', '^(%d+) (%d+)$')
	local wait = due and due - now or 0
	if due and wait > tonumber(delay) then
		wait = tonumber(delay)
		redis.call('HSET', tries, id .. '@',
			   string.format('%.0f %.0f', now + wait, wait))
	end
	return math.max(0, wait)
end
