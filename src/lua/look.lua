-- SPDX-License-Identifier: MIT
-- look.lua -- what a stream remembers of itself, and what stands at a place in
-- it, at one and the same moment.
--
-- KEYS   1 a stream; one that does not exist is an empty one
-- ARGV   1 the kind of place, and what belongs to it:
--          new                       nothing more is asked
--          after ID COUNT BYTES      the entries from ID on, ID included, up
--                                    to about so many bytes
--          since ID                  the last entry up to ID, ID included
--          last BEFORE COUNT AFTER   a step on the way to the last N: the ids
--                                    of COUNT entries before BEFORE (+: from
--                                    the end), newest first, and of those that
--                                    follow AFTER (-: none are asked)
-- answer {last id, length, entries added, largest deleted id, first entry,
--         newest entry, entry at the place, entries,
--         ids before, ids after, 1 where the first entry is among those before,
--         1 where the last one is among those after, 1 where there are no
--         entries behind those, about how many bytes the step went over}
--        added is -1, and deleted "", where the server does not tell (before
--        Redis 7); an entry that is not there is "0-0"
--
-- XINFO brings the first and the newest entry with all that they hold: only
-- their ids leave this script.  So do those of `last`, which ends its step
-- after STEP_IDS entries or about STEP_BYTES bytes: nobody else is served
-- meanwhile.
local STEP_IDS, STEP_BYTES = 500, 200000
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

--@use walk
local at, entries, all = '0-0', {}, 0
local before, first, after, last, left = {}, 0, {}, 0, STEP_BYTES
if kind == 'after' then
  entries, all = walk('XRANGE', key, place, '+', tonumber(ARGV[3]),
                      tonumber(ARGV[4]), function(entry) return entry end, 2)
elseif kind == 'last' then
  if ARGV[4] ~= '-' then
    after, last, left = walk('XRANGE', key, '(' .. ARGV[4], '+', STEP_IDS,
                             left, id_of)
  end
  before, first, left = walk('XREVRANGE', key,
                             place == '+' and place or '(' .. place, '-',
                             math.min(tonumber(ARGV[3]), STEP_IDS), left, id_of)
elseif kind == 'since' then
  at = id_of(redis.call('XREVRANGE', key, place, '-', 'COUNT', 1)[1])
end
return {seen['last-generated-id'], seen['length'],
        seen['entries-added'] or -1, seen['max-deleted-entry-id'] or '',
        id_of(seen['first-entry']), id_of(seen['last-entry']), at, entries,
        before, after, first, last, all, STEP_BYTES - left}
