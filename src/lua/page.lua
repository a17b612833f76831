-- SPDX-License-Identifier: MIT
-- page.lua -- some entries of a stream, up to a number and a size.
--
-- KEYS   1 a stream
-- ARGV   1 XRANGE or XREVRANGE, 2 from, 3 to, both as the command has them,
--        4 how many at most, 5 about how many bytes, 6 how many in any
--        case, if not one
-- answer {entries, 1 where those were all}
--
-- COUNT alone would bound nothing: an entry may be as large as Redis takes it.
--@use walk
local function whole(entry)
  return entry
end
local entries, all = walk(ARGV[1], KEYS[1], ARGV[2], ARGV[3],
                          tonumber(ARGV[4]), tonumber(ARGV[5]), whole,
                          tonumber(ARGV[6]))
return {entries, all}
