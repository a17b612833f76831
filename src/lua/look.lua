-- SPDX-License-Identifier: MIT
-- look.lua -- what a stream remembers of itself, and what stands at a place in
-- it, at one and the same moment.
--
-- KEYS   1 a stream; one that does not exist is an empty one
-- ARGV   1 the kind of place, 2 the place, 3 how many entries (after):
--          new             nothing more is asked
--          after ID COUNT  the entries from ID on, ID included
--          last N          the entry after which exactly N follow
--          since ID        the last entry up to ID, ID included
-- answer {last id, length, entries added, largest deleted id, first entry,
--         newest entry, entry at the place, entries}
--        added is -1, and deleted "", where the server does not tell (before
--        Redis 7); an entry that is not there is "0-0"
--
-- XINFO brings the first and the newest entry with all that they hold: only
-- their ids leave this script.  `last` reads in pages and keeps none.
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

local function before_last(n)
  local left, before = n + 1, '+'
  while true do
    local page = redis.call('XREVRANGE', key, before, '-', 'COUNT',
                            math.min(left, 100))
    if #page >= left then
      return page[left][1]
    end
    if #page < 100 then
      return '0-0'
    end
    left = left - #page
    before = '(' .. page[#page][1]
  end
end

local at, entries = '0-0', {}
if kind == 'after' then
  entries = redis.call('XRANGE', key, place, '+', 'COUNT', ARGV[3])
elseif kind == 'last' then
  at = before_last(tonumber(place))
elseif kind == 'since' then
  at = id_of(redis.call('XREVRANGE', key, place, '-', 'COUNT', 1)[1])
end
return {seen['last-generated-id'], seen['length'],
        seen['entries-added'] or -1, seen['max-deleted-entry-id'] or '',
        id_of(seen['first-entry']), id_of(seen['last-entry']), at, entries}
