-- SPDX-License-Identifier: MIT
-- lock.lua -- a supervisor takes the name of its machine for itself, keeps it,
-- or lets it go.
--
-- KEYS   1 string: the mark of who has the name, a blank, words for people
-- ARGV   1 the same of ours, 2 for how long (ms; 0: let it go), 3 marks,
--        separated by blanks, of those whose place we have taken
-- answer "" where it is ours (or free, after letting go), else who has it
--
-- Full Redis, clock that was set back: as keep.lua.
local mine, ttl = ARGV[1], tonumber(ARGV[2])
local has = redis.call('GET', KEYS[1])
local mark = has and string.match(has, '^%S*')

if has and mark ~= string.match(mine, '^%S*') and
   not string.find(' ' .. ARGV[3] .. ' ', ' ' .. mark .. ' ', 1, true) then
	if ttl > 0 and redis.call('PTTL', KEYS[1]) > ttl then
		redis.call('PEXPIRE', KEYS[1], ttl)
	end
	return has
elseif ttl > 0 then
	redis.call('DEL', KEYS[1])
	redis.call('SET', KEYS[1], mine, 'PX', ttl)
elseif has then
	redis.call('DEL', KEYS[1])
end
return ''
