-- SPDX-License-Identifier: MIT
-- commit.lua -- settle a batch of one channel: acknowledge each entry that is
-- still mine, together with everything that follows from it.
--
-- KEYS   1 stream of the channel, 2 hash of failed attempts, 3 zset of due
--        times, 4 stream of dead letters, 5 hash of tallies, 6 zset of the
--        channels with delayed messages (promote.lua), 7... what is written
--        to ("targets", from 1): streams of channels and mailboxes, zsets of
--        delayed messages
-- ARGV   1 group, 2 own name, 3 channel, 4 fence: a consumer that is there
--        while nobody took anything from us, 5 "0": without it each entry is
--        looked at; "1": without it nothing is ours; "2": nor is it while
--        something before these entries is pending under our name, 6 and 7 the smallest
--        and the largest id of all that follow, 8 number of those that are
--        done and ask for nothing, their ids, number of the others, and for
--        each id, then one of
--        "done", number of effects, each of them one of
--            "emit", target, number of words, words (the entry's names and
--                values)
--            "late", target, channel, delay (ms), number of words, words
--            "post", target, number of words, words
--            "tally", target, field, value, limit of counters (0: none)
--        "retry", failed attempts with this one, starts that count, delay
--            (ms): by anybody
--        "hold", the same: by the owner of the channel, nothing overtakes it
--        "dead", deliveries, reason, error (may be empty), number of
--            effects, effects
-- answer {1, or where not all of those that ask for nothing were done an array
--        of their codes; the codes of the others}; code one of
--        1: done as told; 0: it is not pending under my name, nothing was
--        done; 2: it has gone from the stream, acknowledged; text: nothing was
--        done, because of this
--
-- An error of Redis as a whole (out of memory, read only) is the answer to
-- the whole call, and nothing was done.  A script that fails half way is not
-- rolled back, so everything that can be wrong with a key is tested first.  In
-- a full Redis only a batch waits that wants to store something; what merely
-- acknowledges, or puts off, leads to memory being freed.
local stream, tries, later, dead, tally, delayed = KEYS[1], KEYS[2], KEYS[3],
	KEYS[4], KEYS[5], KEYS[6]
local OWN_KEYS = 6
local group, me, channel = ARGV[1], ARGV[2], ARGV[3]
local fence, strict, in_order = ARGV[4], ARGV[5] ~= '0', ARGV[5] == '2'
local first, last = ARGV[6], ARGV[7]
local LAST = '18446744073709551615-18446744073709551615'
local MAILBOX_MAX = 10000
local plain = tonumber(ARGV[8])

--@use fence
--@use full
--@use ids

-- While it stands, all that we were given and have not settled is ours, and
-- settling twice changes nothing.  Most batches need no more than this.
local fenced, full = is_fenced(stream, group, fence)
-- A Redis that has forgotten its last second has what was settled before these
-- pending again, and it must run first: claim.lua brings all of it, in order.
if in_order and not fenced then
	local oldest = redis.pcall('XPENDING', stream, group, '-', '+', 1, me)
	fenced = oldest[1] and before(oldest[1][1], first) or false
end
if not fenced and #ARGV == plain + 9 then
	redis.call('XACK', stream, group, unpack(ARGV, 9, plain + 8))
	if redis.call('EXISTS', tries) == 1 then
		for i = 9, plain + 8 do
			local id = ARGV[i]
			redis.pcall('HDEL', tries, id, id .. '!', id .. '@')
		end
	end
	return {1}
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local at = 7

local function word()
	at = at + 1
	return ARGV[at]
end

local function number()
	return tonumber(word())
end

-- Cuts the arguments into entries.
local function append_words(list)
	for _ = 1, number() do
		table.insert(list, word())
	end
	return list
end

local read_effect = {
	emit = function(key)
		return {key = key, want = 'stream',
			xadd = append_words({'XADD', key, '*'})}
	end,
	post = function(key)
		return {key = key, want = 'stream',
			xadd = append_words({'XADD', key, 'NOMKSTREAM',
				'MAXLEN', '~', MAILBOX_MAX, '*'})}
	end,
	late = function(key)
		return {key = key, want = 'zset', channel = word(),
			due = now + number(), words = append_words({})}
	end,
	tally = function(key)
		return {key = key, want = 'stream', field = word(),
			value = word(), limit = number()}
	end,
}

local function read_effects(e)
	e.effects = {}
	for i = 1, number() do
		local kind = word()
		e.effects[i] = read_effect[kind](KEYS[number() + OWN_KEYS])
	end
end

local function read_entry()
	local e = {id = word(), verb = word()}
	if e.verb == 'done' then
		read_effects(e)
	elseif e.verb == 'dead' then
		e.deliveries, e.reason, e.error = word(), word(), word()
		read_effects(e)
	else
		e.failed, e.starts, e.delay = word(), word(), number()
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

-- Beyond its limit of counters, what is new is counted as the value OTHER: of
-- its field, and where OTHERS fields have one, of the field OTHER.  names: those
-- that this call will make.
local OTHER, OTHERS = '(other)', 100
local names, named = {}, nil
local function is_counter(name, limit)
	if names[name] or redis.call('HEXISTS', tally, name) == 1 then
		return true
	end
	named = named or math.max(0, redis.call('HLEN', tally) - 1)
	if limit > 0 and named >= limit then
		return false
	end
	names[name] = true
	named = named + 1
	return true
end

local function place_tally(t)
	if t.limit == 0 or is_counter(t.field .. '=' .. t.value, t.limit) then
		return
	end
	t.value = OTHER
	if not is_counter(t.field .. '=' .. OTHER, t.limit + OTHERS) then
		t.field = OTHER
	end
end

local function tally_fault(t)
	local bad = fault(tally, 'hash')
	if bad then
		return bad
	end
	place_tally(t)
	for _, name in ipairs({'messages', t.field .. '=' .. t.value}) do
		local n = redis.call('HGET', tally, name)
		if n and (#n > 15 or not string.match(n, '^%-?%d+$')) then
			return 'tally ' .. name .. ' is no number'
		end
	end
end

local function effect_fault(f)
	local bad = fault(f.key, f.want)
	if not bad and f.field then
		bad = tally_fault(f)
	elseif not bad and f.due then
		bad = fault(delayed, 'zset')
	end
	return bad
end

local function entry_fault(e)
	local bad = fault(tries, 'hash')
	if e.verb == 'retry' then
		bad = bad or fault(later, 'zset')
	elseif e.verb == 'dead' then
		bad = bad or fault(dead, 'stream')
	end
	for _, f in ipairs(e.effects or {}) do
		bad = bad or effect_fault(f)
	end
	return bad
end

-- The ids between first and last that are pending under my name, as a set.
local function find_mine()
	local mine, from = {}, first
	repeat
		local rows = redis.pcall('XPENDING', stream, group, from, last,
					 1000, me)
		if rows.err then
			return mine -- NOGROUP
		end
		for _, row in ipairs(rows) do
			mine[row[1]] = true
			from = '(' .. row[1]
		end
	until #rows < 1000
	return mine
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

local function count(t)
	local values = add(add(targets, t.key, {}), t.field, {})
	add(values, t.value, 0)
	values[t.value] = values[t.value] + 1
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

-- Acknowledges them, and forgets what went wrong with them before.
local has_tries = redis.call('EXISTS', tries) == 1
local function settle(ids)
	redis.call('XACK', stream, group, unpack(ids))
	if has_tries and fault(tries, 'hash') == nil then
		for _, id in ipairs(ids) do
			redis.call('HDEL', tries, id, id .. '!', id .. '@')
		end
	end
end

local function note_failure(e)
	redis.call('HSET', tries, e.id, e.failed, e.id .. '!', e.starts,
		   e.id .. '@', string.format('%.0f %.0f', now + e.delay,
					      e.delay))
	has_tries = true
end

-- Moves it to the consumer "=later".  The answer's code.
local function retry(e)
	local moved = redis.call('XCLAIM', stream, group, '=later', 0, e.id,
				 'JUSTID')
	if #moved == 0 then
		settle({e.id})
		return 2
	end
	redis.call('ZADD', later, now + e.delay, e.id)
	note_failure(e)
	return 1
end

-- It stays where it is; claim.lua finds when it is due.
local function hold(e)
	note_failure(e)
	return 1
end

local function delay(f)
	local name = string.format('%s%06d:%08d:', time[1], time[2],
				   redis.call('ZCARD', f.key))
	redis.call('ZADD', f.key, f.due, name .. cmsgpack.pack(f.words))
	redis.call('ZADD', delayed, 'LT', f.due, f.channel)
end

local wrote = false
-- nil, or the error that Redis gave for one of them.
local function perform_effects(e)
	local counted = false
	for _, f in ipairs(e.effects) do
		if f.xadd then
			local r = redis.pcall(unpack(f.xadd))
			if type(r) == 'table' and r.err then
				return r
			end
		elseif f.due then
			delay(f)
		else
			count(f)
			counted = true
		end
		wrote = true
	end
	if counted then
		tallied = tallied + 1
	end
end

-- The same for its dead letter.
local function bury(e)
	local found = redis.call('XRANGE', stream, e.id, e.id)
	if #found == 0 then
		settle({e.id})
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
	wrote = true
	r = perform_effects(e)
	if r then
		return r
	end
	settle({e.id})
	return 1
end

local function finish(e)
	local r = perform_effects(e)
	if r then
		return r
	end
	settle({e.id})
	return 1
end

-- Those that ask for nothing.
local mine = {}
local function settle_plain()
	local count = number()
	local from, ids, codes = at + 1, {}, {}
	at = at + count
	if count == 0 or not fenced then
		ids = {unpack(ARGV, from, at)}
		codes = 1
	else
		for i = from, at do
			table.insert(codes, mine[ARGV[i]] and 1 or 0)
			if mine[ARGV[i]] then
				table.insert(ids, ARGV[i])
			end
		end
	end
	if #ids > 0 then
		settle(ids)
		wrote = true
	end
	return codes
end

-- First everything is looked at, then everything is done.
local exists = redis.call('TYPE', stream).ok == 'stream'
if exists and not (fenced and strict) and
    (fenced or plain + 9 < #ARGV) then
	mine = find_mine()
end
local perform = {done = finish, retry = retry, hold = hold, dead = bury}
local plain_at = at
at = 8 + plain
local entries, codes, stores = {}, {}, false
for i = 1, number() do
	local e = read_entry()
	entries[i] = e
	stores = stores or e.verb == 'dead' or e.verb == 'done'
	codes[i + 1] = mine[e.id] and (entry_fault(e) or 1) or 0
end
if full and stores then
	return full
end
go_on_when_full(later)
at = plain_at
codes[1] = settle_plain()
for i, e in ipairs(entries) do
	if codes[i + 1] == 1 then
		local r = perform[e.verb](e)
		if type(r) == 'table' then
			if not wrote then
				return r -- nothing at all was written
			end
			r = r.err
		else
			wrote = true
		end
		codes[i + 1] = r
	end
end
if tallied > 0 then
	publish_totals()
end
return codes
