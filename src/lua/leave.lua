-- SPDX-License-Identifier: MIT
-- leave.lua -- the owner of a divided channel hands it over in peace: what it
-- was given and has not begun, it was never given.
--
-- Who finds an entry that was delivered before has to think that it may have
-- ended somebody (workers/intake.h).  So it is counted only where it was run.
--
-- KEYS   1 stream of the channel
-- ARGV   1 group, 2 own name, 3 fence
-- answer number of entries
--
-- Nothing of the channel may be with a handler, or wait for its commit.
local stream = KEYS[1]
local group, me, fence = ARGV[1], ARGV[2], ARGV[3]

-- Asking for the fence by making it creates no second one.
local made = redis.pcall('XGROUP', 'CREATECONSUMER', stream, group, fence)
if made == 1 then
	redis.call('XGROUP', 'DELCONSUMER', stream, group, fence)
end
if made ~= 0 then
	return 0
end
local rows = redis.call('XPENDING', stream, group, '-', '+', 1000, me)
for _, row in ipairs(rows) do
	redis.call('XCLAIM', stream, group, me, 0, row[1], 'RETRYCOUNT',
		   math.max(0, row[4] - 1), 'JUSTID')
end
return #rows
