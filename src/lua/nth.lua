-- nth.lua -- the entry before the last N of a stream.
--
-- KEYS[1]  a stream
-- ARGV[1]  N, at least 1
--
-- Answers the id of the entry after which exactly N entries follow, or "0-0"
-- where there are not more than N.  Reads in pages and keeps none, so large
-- entries are never all in memory.
local left = tonumber(ARGV[1]) + 1
local before = '+'
while true do
  local page = redis.call('XREVRANGE', KEYS[1], before, '-', 'COUNT', math.min(left, 100))
  if #page >= left then
    return page[left][1]
  end
  if #page < 100 then
    return '0-0'
  end
  left = left - #page
  before = '(' .. page[#page][1]
end
