-- SPDX-License-Identifier: MIT
-- A full Redis (maxmemory, noeviction) refuses what may need memory, unless
-- the same script has written before.  What must go on even then, because it
-- leads to memory being freed, begins with this write, which changes nothing.
local function go_on_when_full(zset)
	redis.pcall('ZREM', zset, '=')
end
