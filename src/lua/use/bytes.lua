-- SPDX-License-Identifier: MIT
-- The bytes of an entry's names and values.  A script that hands over bodies
-- stops at MOST_BYTES, after at least one: it holds up everybody.
local MOST_BYTES = 1000000
local function bytes_of(words)
	local n = 0
	for i = 1, #words do
		n = n + #words[i]
	end
	return n
end
