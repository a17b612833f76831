-- SPDX-License-Identifier: MIT
-- Which teams hold a channel, of ARGV, from a place on (holders.c): when that
-- was asked for (ms, by the clock of Redis), and three times a number and so
-- many names:
--   teams that consume the channel: they hold it, also without a group there
--   teams that consume it, but have expired: they hold nothing
--   teams that do not consume it (any more): they hold nothing
-- Groups that are not named hold.
local function names_at(at)
	local list = {}
	for i = 1, tonumber(ARGV[at]) do
		list[i] = ARGV[at + i]
		list[list[i]] = true
	end
	return list, at + 1 + #list
end

-- Also returns the place behind them.
local function holders_at(at)
	local h = {since = ARGV[at]}
	h.holds, at = names_at(at + 1)
	h.expired, at = names_at(at)
	h.idle, at = names_at(at)
	return h, at
end

-- The first that holds and is not among the names of groups; nil: none.
local function holder_without(h, groups)
	for _, name in ipairs(h.holds) do
		if not groups[name] then
			return name
		end
	end
end
