-- SPDX-License-Identifier: MIT
-- look.lua -- what a stream remembers of itself, and what stands at a place in
-- it, at one and the same moment.
--
-- KEYS   1 a stream; one that does not exist is an empty one
-- ARGV   1 the kind of place, and what belongs to it:
--          new                       nothing more is asked
--          after ID COUNT            the entries from ID on, ID included
--          since ID                  the last entry up to ID, ID included
--          last BEFORE COUNT AFTER   a step on the way to the last N: the ids
--                                    of COUNT entries before BEFORE (+: from
--                                    the end), newest first, and of those that
--                                    follow AFTER (-: none are asked)
-- answer {last id, length, entries added, largest deleted id, first entry,
--         newest entry, entry at the place, entries,
--         ids before, ids after, 1 where the first entry is among those before,
--         1 where the last one is among those after}
--        added is -1, and deleted "", where the server does not tell (before
--        Redis 7); an entry that is not there is "0-0"
--
-- XINFO brings the first and the newest entry with all that they hold: only
-- their ids leave this script.  So do those of `last`, which ends its step
-- after STEP_IDS entries or about STEP_BYTES bytes: nobody else is served
-- meanwhile.
local STEP_IDS, STEP_BYTES, PAGE = 500, 200000, 50
local key, kind, place = KEYS[1], ARGV[1], ARGV[2]

local info = redis.pcall('XINFO', 'STREAM', key)
if info.err then
  if redis.call('EXISTS', key) == 1 then
    return info
  end
  info = {'last-generated-id', '0-0', 'length', 0, 'entries-added', 0,
          'max-deleted-entry-id', '0-0'}
end
local seen = {}
for i = 1, #info, 2 do
  seen[info[i]] = info[i + 1]
end

local function id_of(entry)
  return entry and entry[1] or '0-0'
end

local bytes_left = STEP_BYTES

-- The ids of up to count entries, and 1 where that were all.  Nobody knows how
-- large an entry is before it was read: pages begin with one.
local function walk(command, from, to, count)
  local ids, page = {}, 1
  count = math.min(count, STEP_IDS)
  while #ids < count do
    if bytes_left <= 0 then
      return ids, 0
    end
    page = math.min(page, count - #ids)
    local entries = redis.call(command, key, from, to, 'COUNT', page)
    local bytes = 0
    for _, entry in ipairs(entries) do
      ids[#ids + 1] = entry[1]
      bytes = bytes + 50
      for i = 1, #entry[2] do
        bytes = bytes + #entry[2][i]
      end
    end
    if #entries < page then
      return ids, 1
    end
    bytes_left = bytes_left - bytes
    from = '(' .. ids[#ids]
    page = math.max(1, math.min(page * 4, PAGE,
                                math.floor(bytes_left * page / bytes)))
  end
  return ids, 0
end

local at, entries = '0-0', {}
local before, first, after, last = {}, 0, {}, 0
if kind == 'after' then
  entries = redis.call('XRANGE', key, place, '+', 'COUNT', ARGV[3])
elseif kind == 'last' then
  if ARGV[4] ~= '-' then
    after, last = walk('XRANGE', '(' .. ARGV[4], '+', STEP_IDS)
  end
  before, first = walk('XREVRANGE', place == '+' and place or '(' .. place,
                       '-', tonumber(ARGV[3]))
elseif kind == 'since' then
  at = id_of(redis.call('XREVRANGE', key, place, '-', 'COUNT', 1)[1])
end
return {seen['last-generated-id'], seen['length'],
        seen['entries-added'] or -1, seen['max-deleted-entry-id'] or '',
        id_of(seen['first-entry']), id_of(seen['last-entry']), at, entries,
        before, after, first, last}
