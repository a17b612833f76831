-- SPDX-License-Identifier: MIT
-- Was the fence of an owner taken down?  Asking by making one creates no
-- second.  A full Redis refuses to make any: then they are looked through, and
-- the second value is its refusal.
local function is_fenced(stream, group, fence)
	local r = redis.pcall('XGROUP', 'CREATECONSUMER', stream, group, fence)
	local full = type(r) == 'table' and string.find(r.err, 'OOM', 1, true)
		and r or nil
	if r == 1 then
		redis.call('XGROUP', 'DELCONSUMER', stream, group, fence)
	elseif type(r) == 'table' then
		r = redis.pcall('XINFO', 'CONSUMERS', stream, group)
		for _, row in ipairs(r) do
			if row[2] == fence then
				return false, full
			end
		end
	end
	return r ~= 0, full
end
