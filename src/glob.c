/* SPDX-License-Identifier: MIT */
/*
 * glob.c -- patterns of channel names; see glob.h.
 *
 * A pattern is a row of items: a star, or something that takes one character.
 * The matcher never calls itself: where an item does not fit, it goes back to
 * the latest star and lets that take one character more.  To go back further
 * would be in vain, since whatever an earlier star could take, the later one
 * can take as well.  So a pattern of many stars costs a product, not a power.
 *
 * What Redis does with broken patterns is done here, too: a bracket that is
 * never closed ends with the pattern, a backslash at the end is itself.  Two
 * things differ: Redis takes bytes for characters, and there a star alone does
 * not match the empty text.  No channel has that name.
 */
#include "src/glob.h"
#include "src/utf8.h"

static unsigned char byte_at(struct rd_slice s, size_t at)
{
	return (unsigned char)s.data[at];
}

/* One member of a class, at pattern[*at]: a character, or a range.  Moves *at
 * behind it; does it hold c? */
static bool member_has(struct rd_slice pattern, size_t *at, uint32_t c)
{
	bool escaped = byte_at(pattern, *at) == '\\' && pattern.len - *at >= 2;
	uint32_t low, high;

	*at += escaped;
	low = high = rd_utf8_take(pattern, at);
	if (!escaped && pattern.len - *at >= 2 &&
	    byte_at(pattern, *at) == '-') {
		*at += 1;
		high = rd_utf8_take(pattern, at);
	}
	return low <= high ? c >= low && c <= high : c >= high && c <= low;
}

/* A class whose first member is at pattern[*at]; moves *at behind its ']'. */
static bool class_has(struct rd_slice pattern, size_t *at, uint32_t c)
{
	bool none = *at < pattern.len && byte_at(pattern, *at) == '^';
	bool has = false;

	if (none)
		*at += 1;
	while (*at < pattern.len && byte_at(pattern, *at) != ']')
		has = member_has(pattern, at, c) || has;
	if (*at < pattern.len)
		*at += 1;
	return has != none;
}

/* The item at pattern[*at], which is no star: does it take c?  Moves *at
 * behind it. */
static bool item_takes(struct rd_slice pattern, size_t *at, uint32_t c)
{
	uint32_t p = rd_utf8_take(pattern, at);

	if (p == '?')
		return true;
	if (p == '[')
		return class_has(pattern, at, c);
	if (p == '\\' && *at < pattern.len)
		p = rd_utf8_take(pattern, at);
	return p == c;
}

bool rd_glob_match(struct rd_slice pattern, struct rd_slice text)
{
	size_t at = 0, i = 0, next;
	size_t star = 0, taken = 0; /* behind the star; where its text ends */
	bool starred = false;

	while (i < text.len || at < pattern.len) {
		if (at < pattern.len && byte_at(pattern, at) == '*') {
			star = ++at;
			taken = i;
			starred = true;
			continue;
		}
		next = i;
		if (i < text.len && at < pattern.len &&
		    item_takes(pattern, &at, rd_utf8_take(text, &next))) {
			i = next;
			continue;
		}
		if (!starred || taken >= text.len)
			return false;
		(void)rd_utf8_take(text, &taken);
		i = taken;
		at = star;
	}
	return true;
}

bool rd_glob_is_pattern(struct rd_slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = byte_at(text, i);

		if (c == '*' || c == '?' || c == '[')
			return true;
		if (c == '\\')
			i++;
	}
	return false;
}

/* Of a class whose first member is at pattern[*at]; moves *at behind it. */
static bool class_valid(struct rd_slice pattern, size_t *at)
{
	size_t first;

	if (*at < pattern.len && byte_at(pattern, *at) == '^')
		*at += 1;
	first = *at;
	while (*at < pattern.len && byte_at(pattern, *at) != ']')
		(void)member_has(pattern, at, 0);
	if (*at >= pattern.len || *at == first)
		return false;
	*at += 1;
	return true;
}

bool rd_glob_valid(struct rd_slice pattern)
{
	size_t at = 0;

	if (pattern.len < 1 || pattern.len > RD_GLOB_MAX ||
	    rd_utf8_has_control(pattern) || !rd_utf8_valid(pattern))
		return false;
	while (at < pattern.len) {
		unsigned char p = byte_at(pattern, at++);

		if (p == '[' && !class_valid(pattern, &at))
			return false;
		if (p == '\\' && at++ == pattern.len)
			return false;
	}
	return true;
}
