-- SPDX-License-Identifier: MIT
-- Ids of entries in order.  Their numbers have up to 20 decimal digits: too
-- long for Lua's own.
local function number_before(a, b)
	if #a ~= #b then
		return #a < #b
	end
	return a < b
end

local function before(a, b)
	local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
	local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
	if a_ms ~= b_ms then
		return number_before(a_ms, b_ms)
	end
	return number_before(a_seq, b_seq)
end
