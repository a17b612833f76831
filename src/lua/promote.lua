-- SPDX-License-Identifier: MIT
-- promote.lua -- publish the delayed messages of a channel that are due.
--
-- KEYS   1 stream of the channel, 2 zset of its delayed messages, 3 zset of
--        all channels that have some
-- ARGV   1 channel
-- answer {messages published, members thrown away that are no messages,
--         ms until the next is due (0: now; -1: none waits), error (or "")}
--
-- Two zsets hold what is delayed (written by delay.lua and commit.lua):
--   beside the channel, <prefix>:delayed:{<prefix>:ch:<channel>}: a member is
--      <microseconds when it was delayed, 16 digits>:<members at that time, 8
--      digits>:<MessagePack array of the entry's names and values>
--   and its score when it is due (ms).  So messages that are due in the same
--   millisecond come in the order in which they were delayed, and no two
--   members are the same;
--   <prefix>:delayed: a member is a channel, its score no later than the
--   earliest of the channel's due times.
--
-- Publishing and removing are one step, so a message appears exactly once.  One
-- call moves MOST of them or MOST_BYTES, whichever comes first, and at least
-- one: a script holds up everybody.
-- Where the stream cannot be written (it is something else, or has no ids
-- left), all stays as it is, and the index says to try again after RETRY ms.
local stream, delayed, index = KEYS[1], KEYS[2], KEYS[3]
local channel = ARGV[1]
local MOST, MOST_BYTES = 1000, 1000000
local RETRY = 10000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function words_of(member)
	-- No capture: that would look at each byte.
	local _, head = string.find(member, '^%d+:%d+:')
	local ok, words = pcall(cmsgpack.unpack, string.sub(member,
		(head or #member) + 1))
	if not ok or type(words) ~= 'table' or #words == 0 or
	    #words % 2 ~= 0 then
		return nil
	end
	for i = 1, #words do
		if type(words[i]) ~= 'string' then
			return nil
		end
	end
	return words
end

-- nil, or why not.  Nobody but us writes there, but anybody can.
local function publish(words)
	local ok, r = pcall(function()
		return redis.pcall('XADD', stream, '*', unpack(words))
	end)
	if not ok then
		return tostring(r)
	end
	return type(r) == 'table' and r.err or nil
end

-- What comes next, and when it is due; nil: none waits.
local function head()
	local row = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
	return row[1], tonumber(row[2])
end

local moved, bad, bytes, failed, due = 0, 0, 0, '', nil
local kind = redis.call('TYPE', delayed).ok
if kind == 'zset' then
	local member
	member, due = head()
	while member and due <= now and moved + bad < MOST and
	    bytes < MOST_BYTES do
		local words = words_of(member)
		local why = words and publish(words)
		if why then
			failed = why
			break
		end
		redis.call('ZREM', delayed, member)
		moved = moved + (words and 1 or 0)
		bad = bad + (words and 0 or 1)
		bytes = bytes + #member
		member, due = head()
	end
elseif kind ~= 'none' then
	failed = 'WRONGTYPE ' .. delayed .. ' is a ' .. kind
end

if failed ~= '' then
	due = now + RETRY
end
if due then
	redis.call('ZADD', index, due, channel)
	due = math.max(0, due - now)
else
	redis.call('ZREM', index, channel)
end
return {moved, bad, due or -1, failed}
