-- SPDX-License-Identifier: MIT
-- group.lua -- make a team's group in a channel that its workers share.
--
-- KEYS   1 stream of the channel; it is made with the group
-- ARGV   1 group, 2 fence of the worker (workers/shared.c), 3 "1": plant it in
--        any case; else only in a group that was made now
-- answer 1: the group was made; 0: it was there
--
-- It begins at 0.  XACK acknowledges nothing: it is the write behind which a
-- full Redis refuses no other.
local stream, group, fence, anyway = KEYS[1], ARGV[1], ARGV[2], ARGV[3] == '1'

redis.pcall('XACK', stream, group, '0-0')
local made = redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
	return made
end
if anyway or not made.err then
	redis.call('XGROUP', 'CREATECONSUMER', stream, group, fence)
end
return made.err and 0 or 1
