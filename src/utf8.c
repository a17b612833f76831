/* SPDX-License-Identifier: MIT */
/*
 * utf8.c -- is this UTF-8?
 *
 * A character is a lead byte and up to three continuation bytes.  All that is
 * irregular about UTF-8 (no overlong forms, no surrogates, nothing above
 * U+10FFFF) narrows the bounds of the first continuation byte only; see the
 * table in RFC 3629 section 4.  So the state of a stream is three numbers: how
 * many bytes the character still needs, and the bounds of the next one.
 *
 * Nearly all text is ASCII between characters, and runs of it are passed over
 * eight bytes at a time.
 */
#include "src/utf8.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* The first byte at or behind p that is not ASCII, or end. */
static const unsigned char *skip_ascii(const unsigned char *p,
				       const unsigned char *end)
{
	uint64_t eight;

	while (end - p >= 8) {
		memcpy(&eight, p, 8);
		if (eight & HIGH_BITS)
			break;
		p += 8;
	}
	while (p < end && *p < 0x80)
		p++;
	return p;
}

/* Starts a character of more than one byte; false if none starts so. */
static bool lead(struct rd_utf8 *u, unsigned char c)
{
	u->lowest = 0x80;
	u->highest = 0xbf;
	if (c < 0xc2 || c > 0xf4)
		return false;
	u->need = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	if (c == 0xe0)
		u->lowest = 0xa0; /* below: overlong */
	else if (c == 0xed)
		u->highest = 0x9f; /* above: surrogates */
	else if (c == 0xf0)
		u->lowest = 0x90; /* below: overlong */
	else if (c == 0xf4)
		u->highest = 0x8f; /* above: more than U+10FFFF */
	return true;
}

bool rd_utf8_feed(struct rd_utf8 *u, struct rd_slice bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.data;
	const unsigned char *end = p;
	struct rd_utf8 now = *u; /* in registers: *u might alias the bytes */

	if (bytes.len == 0)
		return true;
	for (end += bytes.len; p < end; p++) {
		if (now.need > 0) {
			if (*p < now.lowest || *p > now.highest)
				return false;
			now.need--;
			now.lowest = 0x80;
			now.highest = 0xbf;
			continue;
		}
		p = skip_ascii(p, end);
		if (p == end)
			break;
		if (!lead(&now, *p))
			return false;
	}
	*u = now;
	return true;
}

uint32_t rd_utf8_take(struct rd_slice text, size_t *at)
{
	const unsigned char *p = (const unsigned char *)text.data + *at;
	struct rd_utf8 u = {0};
	uint32_t code = *p;

	if (*p < 0x80) {
		*at += 1;
		return code;
	}
	if (!lead(&u, *p) || text.len - *at <= u.need ||
	    !rd_utf8_valid(
		(struct rd_slice){text.data + *at, (size_t)u.need + 1})) {
		*at += 1;
		return RD_UTF8_BYTE + code;
	}
	code &= 0x3fu >> u.need;
	for (unsigned i = 1; i <= u.need; i++)
		code = code << 6 | (p[i] & 0x3fu);
	*at += (size_t)u.need + 1;
	return code;
}

bool rd_utf8_valid(struct rd_slice bytes)
{
	struct rd_utf8 u = {0};

	return rd_utf8_feed(&u, bytes) && rd_utf8_done(&u);
}

bool rd_utf8_is_sly(uint32_t c)
{
	return (c >= 0x80 && c <= 0x9f) || c == 0x61c || c == 0x200e ||
	       c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

bool rd_utf8_has_control(struct rd_slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c < 0x20 || c == 0x7f)
			return true;
		if (c == 0xc2 && i + 1 < text.len &&
		    (unsigned char)text.data[i + 1] < 0xa0)
			return true;
	}
	return false;
}
