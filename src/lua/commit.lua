-- SPDX-License-Identifier: MIT
-- commit.lua -- settle a batch of one channel: acknowledge each entry that is
-- still mine, together with everything that follows from it.
--
-- KEYS   1 stream of the channel, 2 hash of failed attempts, 3 zset of due
--        times, 4 stream of dead letters, 5 hash of tallies, 6... streams of
--        the channels that something is published to ("targets", from 1)
-- ARGV   1 group, 2 own name, 3 channel, 4 number of entries, and for each
--        id, then one of
--        "done", number of emits, and for each: target, number of words, words
--                (the entry's names and values); number of tallies, and for
--                each: target, field, value
--        "retry", failed attempts with this one, delay (ms)
--        "dead", deliveries, reason, error (may be empty)
-- answer for each entry one of
--        1: done as told; 0: it is not pending under my name, nothing was
--        done; 2: it has gone from the stream, acknowledged; text: nothing was
--        done, because of this
--
-- An error of Redis as a whole (out of memory, read only) is the answer to
-- the whole call, and nothing was done.  A script that fails half way is not
-- rolled back, so everything that can be wrong with a key is tested first.
local stream, tries, later, dead, tally = KEYS[1], KEYS[2], KEYS[3], KEYS[4],
	KEYS[5]
local group, me, channel = ARGV[1], ARGV[2], ARGV[3]
local LAST = '18446744073709551615-18446744073709551615'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local at = 3

local function word()
	at = at + 1
	return ARGV[at]
end

local function number()
	return tonumber(word())
end

-- Cuts the arguments into entries.
local function read_done(e)
	e.emits, e.tallies = {}, {}
	for _ = 1, number() do
		local key, xadd = KEYS[number() + 5], {}
		local words = number()
		xadd[1], xadd[2], xadd[3] = 'XADD', key, '*'
		for i = 1, words do
			xadd[i + 3] = word()
		end
		table.insert(e.emits, xadd)
	end
	for _ = 1, number() do
		table.insert(e.tallies, {key = KEYS[number() + 5],
					 field = word(), value = word()})
	end
end

local function read_entry()
	local e = {id = word(), verb = word()}
	if e.verb == 'done' then
		read_done(e)
	elseif e.verb == 'retry' then
		e.failed, e.delay = word(), number()
	else
		e.deliveries, e.reason, e.error = word(), word(), word()
	end
	return e
end

-- What is wrong with a key: nil or a text.  Asked once for each key.
local faults = {}
local function fault(key, want)
	if faults[key] == nil then
		local type = redis.call('TYPE', key).ok
		if type ~= want and type ~= 'none' then
			faults[key] = 'target ' .. key .. ' is a ' .. type
		elseif want == 'stream' and
		    #redis.call('XRANGE', key, LAST, LAST) > 0 then
			faults[key] = 'target ' .. key .. ' has no ids left'
		else
			faults[key] = false
		end
	end
	return faults[key] or nil
end

local function tally_fault(t)
	local bad = fault(tally, 'hash') or fault(t.key, 'stream')
	if bad then
		return bad
	end
	for _, name in ipairs({'messages', t.field .. '=' .. t.value}) do
		local n = redis.call('HGET', tally, name)
		if n and (#n > 15 or not string.match(n, '^%-?%d+$')) then
			return 'tally ' .. name .. ' is no number'
		end
	end
end

local function entry_fault(e)
	if e.verb == 'retry' then
		return fault(tries, 'hash') or fault(later, 'zset')
	elseif e.verb == 'dead' then
		return fault(tries, 'hash') or fault(dead, 'stream')
	end
	for _, xadd in ipairs(e.emits) do
		local bad = fault(xadd[2], 'stream')
		if bad then
			return bad
		end
	end
	for _, t in ipairs(e.tallies) do
		local bad = tally_fault(t)
		if bad then
			return bad
		end
	end
	return fault(tries, 'hash')
end

local exists = redis.call('TYPE', stream).ok == 'stream'
local function is_mine(id)
	if not exists then
		return false
	end
	local r = redis.pcall('XPENDING', stream, group, id, id, 1, me)
	return not r.err and #r > 0 -- an error is NOGROUP
end

-- Adds up what is counted, by target, field and value, in order.
local targets, tallied = {}, 0
local function add(list, name, make)
	if list[name] == nil then
		list[name] = make
		table.insert(list, name)
	end
	return list[name]
end

local function count(e)
	for _, t in ipairs(e.tallies) do
		local values = add(add(targets, t.key, {}), t.field, {})
		add(values, t.value, 0)
		values[t.value] = values[t.value] + 1
	end
	if #e.tallies > 0 then
		tallied = tallied + 1
	end
end

local function json(text)
	return (string.gsub(cjson.encode(text), '\\/', '/'))
end

-- Writes the counters that changed, and publishes their new values.
local function publish_totals()
	local messages = redis.call('HINCRBY', tally, 'messages', tallied)
	for _, key in ipairs(targets) do
		local fields = {}
		for _, field in ipairs(targets[key]) do
			local values, texts = targets[key][field], {}
			for _, value in ipairs(values) do
				local n = redis.call('HINCRBY', tally,
					field .. '=' .. value, values[value])
				table.insert(texts, json(value) .. ':' ..
					string.format('%.0f', n))
			end
			table.insert(fields, json(field) .. ':{' ..
				table.concat(texts, ',') .. '}')
		end
		redis.call('XADD', key, '*', 'type', 'TOTALS', 'json',
			'{"channel":' .. json(channel) .. ',"messages":' ..
			string.format('%.0f', messages) .. ',"totals":{' ..
			table.concat(fields, ',') .. '}}')
	end
end

local function settle(id)
	redis.call('XACK', stream, group, id)
	redis.call('HDEL', tries, id)
end

-- Moves it to the consumer "=later".  The answer's code.
local function retry(e)
	local moved = redis.call('XCLAIM', stream, group, '=later', 0, e.id,
				 'JUSTID')
	if #moved == 0 then
		settle(e.id)
		return 2
	end
	redis.call('ZADD', later, now + e.delay, e.id)
	redis.call('HSET', tries, e.id, e.failed)
	return 1
end

-- The same for its dead letter.
local function bury(e)
	local found = redis.call('XRANGE', stream, e.id, e.id)
	if #found == 0 then
		settle(e.id)
		return 2
	end
	local xadd = {'XADD', dead, '*'}
	local fields = found[1][2]
	-- Lua hands over some 8,000 words at once and no more.
	for i = 1, math.min(#fields, 7000) do
		table.insert(xadd, fields[i])
	end
	for _, w in ipairs({'channel', channel, 'id', e.id, 'deliveries',
			    e.deliveries, 'reason', e.reason, 'error', e.error,
			    'worker', me, 'time',
			    string.format('%.0f', now)}) do
		table.insert(xadd, w)
	end
	local r = redis.pcall(unpack(xadd))
	if r.err then
		return r
	end
	settle(e.id)
	return 1
end

local wrote = false
local function finish(e)
	for _, xadd in ipairs(e.emits) do
		local r = redis.pcall(unpack(xadd))
		if type(r) == 'table' and r.err then
			return r
		end
		wrote = true
	end
	settle(e.id)
	count(e)
	return 1
end

local perform = {done = finish, retry = retry, dead = bury}
local entries, codes = {}, {}
for i = 1, number() do
	local e = read_entry()
	if not is_mine(e.id) then
		codes[i] = 0
	else
		codes[i] = entry_fault(e) or 1
	end
	entries[i] = e
end
for i, e in ipairs(entries) do
	if codes[i] == 1 then
		local r = perform[e.verb](e)
		if type(r) == 'table' then
			if not wrote then
				return r -- nothing at all was written
			end
			r = r.err
		else
			wrote = true
		end
		codes[i] = r
	end
end
if tallied > 0 then
	publish_totals()
end
return codes
