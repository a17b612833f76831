-- SPDX-License-Identifier: MIT
-- What Redis tells as names and values in turn, by name.
local function fields_of(row)
	local map = {}
	for i = 1, #row, 2 do
		map[row[i]] = row[i + 1]
	end
	return map
end
