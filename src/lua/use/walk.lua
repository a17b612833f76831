-- SPDX-License-Identifier: MIT
-- What keep makes of up to count entries of about so many bytes, of one at
-- least where there are bytes left, and of `least` in any case; 1 where those
-- were all, else 0; and the bytes that are left.  Nobody knows how large an
-- entry is before it was read: pages begin with one, and grow.
local PAGE = 50
local function walk(command, key, from, to, count, left, keep, least)
  local list, page = {}, 1
  while #list < count do
    if left <= 0 and #list >= (least or 0) then
      return list, 0, left
    end
    page = math.min(page, count - #list)
    local entries = redis.call(command, key, from, to, 'COUNT', page)
    local bytes = 0
    for _, entry in ipairs(entries) do
      list[#list + 1] = keep(entry)
      bytes = bytes + 50
      for i = 1, #entry[2] do
        bytes = bytes + #entry[2][i]
      end
    end
    left = left - bytes
    if #entries < page then
      return list, 1, left
    end
    from = '(' .. entries[#entries][1]
    page = math.max(1, math.min(page * 4, PAGE,
                                math.floor(left * page / bytes)))
  end
  return list, 0, left
end
