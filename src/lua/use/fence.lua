-- SPDX-License-Identifier: MIT
-- Was the fence of an owner taken down?  Asking by making one creates no
-- second; where Redis refuses to make any (out of memory), they are looked
-- through.
local function is_fenced(stream, group, fence)
	local r = redis.pcall('XGROUP', 'CREATECONSUMER', stream, group, fence)
	if r == 1 then
		redis.call('XGROUP', 'DELCONSUMER', stream, group, fence)
	elseif type(r) == 'table' then
		r = redis.pcall('XINFO', 'CONSUMERS', stream, group)
		for _, row in ipairs(r) do
			if row[2] == fence then
				return false
			end
		end
	end
	return r ~= 0
end
