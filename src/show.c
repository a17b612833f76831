/* SPDX-License-Identifier: MIT */
/*
 * show.c -- names, numbers and times as people read them; see show.h.
 *
 * The width of a character is that of most terminals: two columns for East
 * Asian wide ones and emoji, none for combining marks.  The ranges are coarse;
 * a wrong guess moves a column by one, no more.
 *
 * Not here: tables (table.c).
 */
#include "src/show.h"
#include "src/json.h"
#include "src/utf8.h"

#include <inttypes.h>

/* The character at s[*at], which is UTF-8, where it would drive a terminal or
 * turn text around: appended as \u and four digits. */
static bool add_sly(struct rd_buf *out, struct rd_slice s, size_t *at)
{
	size_t behind = *at;
	uint32_t c = rd_utf8_take(s, &behind);

	if (!rd_utf8_is_sly(c))
		return false;
	rd_buf_addf(out, "\\u%04x", c);
	*at = behind;
	return true;
}

void rd_show_text(struct rd_buf *out, struct rd_slice s)
{
	bool text = rd_utf8_valid(s);
	size_t i = 0;

	while (i < s.len) {
		unsigned char c = (unsigned char)s.data[i];

		if (text && c > 0x7f && add_sly(out, s, &i))
			continue;
		if (c == '\\')
			rd_buf_adds(out, "\\\\");
		else if (c == '\n')
			rd_buf_adds(out, "\\n");
		else if (c == '\t')
			rd_buf_adds(out, "\\t");
		else if (c < 0x20 || c == 0x7f || (!text && c > 0x7f))
			rd_buf_addf(out, "\\x%02x", c);
		else
			rd_buf_addc(out, (char)c);
		i++;
	}
}

void rd_show_value(struct rd_buf *out, struct rd_slice s)
{
	size_t i = 0;

	while (i < s.len) {
		unsigned char c = (unsigned char)s.data[i];

		if (c > 0x7f && add_sly(out, s, &i))
			continue;
		if (c == 0x7f)
			rd_buf_adds(out, "\\u007f");
		else
			/* between two tokens, never in a literal */
			rd_buf_addc(out, c < 0x20 ? ' ' : (char)c);
		i++;
	}
}

void rd_show_json(struct rd_buf *out, struct rd_slice text)
{
	struct rd_buf clean = RD_BUF_INIT, literal = RD_BUF_INIT;

	if (!rd_utf8_valid(text)) {
		rd_show_text(&clean, text);
		text = rd_buf_slice(&clean);
	}
	rd_json_add_string(&literal, text);
	rd_show_value(out, rd_buf_slice(&literal));
	rd_buf_fini(&literal);
	rd_buf_fini(&clean);
}

void rd_show_span(struct rd_buf *out, uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (ms < 1000)
		rd_buf_addf(out, "%" PRIu64 "ms", ms);
	else if (s < 60)
		rd_buf_addf(out, "%" PRIu64 "s", s);
	else if (s < 3600)
		rd_buf_addf(out, "%" PRIu64 "m%" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		rd_buf_addf(out, "%" PRIu64 "h%" PRIu64 "m", s / 3600,
			    s / 60 % 60);
	else
		rd_buf_addf(out, "%" PRIu64 "d%" PRIu64 "h", s / 86400,
			    s / 3600 % 24);
}

/* Three digits, cut, not rounded: a number is never shown above itself. */
static void add_scaled(struct rd_buf *out, uint64_t n, uint64_t unit,
		       const char *name)
{
	uint64_t whole = n / unit;

	if (whole >= 100)
		rd_buf_addf(out, "%" PRIu64 "%s", whole, name);
	else if (whole >= 10)
		rd_buf_addf(out, "%" PRIu64 ".%" PRIu64 "%s", whole,
			    n % unit * 10 / unit, name);
	else
		rd_buf_addf(out, "%" PRIu64 ".%02" PRIu64 "%s", whole,
			    n % unit * 100 / unit, name);
}

void rd_show_count(struct rd_buf *out, uint64_t n)
{
	if (n < 100000)
		rd_buf_addu(out, n);
	else if (n < 1000000)
		add_scaled(out, n, 1000, "k");
	else if (n < 1000000000)
		add_scaled(out, n, 1000000, "M");
	else
		add_scaled(out, n, 1000000000, "G");
}

static size_t width_of(uint32_t c)
{
	static const struct range {
		uint32_t from, to;
		size_t width;
	} ranges[] = {
	    {0x300, 0x36f, 0},     {0x483, 0x489, 0},     {0x591, 0x5bd, 0},
	    {0x610, 0x61a, 0},     {0x64b, 0x65f, 0},     {0x1100, 0x115f, 2},
	    {0x200b, 0x200f, 0},   {0x20d0, 0x20f0, 0},   {0x2e80, 0xa4cf, 2},
	    {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},   {0xfe00, 0xfe0f, 0},
	    {0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},
	    {0x1f300, 0x1faff, 2}, {0x20000, 0x3fffd, 2},
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
		if (c >= ranges[i].from && c <= ranges[i].to)
			return ranges[i].width;
	return 1;
}

size_t rd_show_width(struct rd_slice s)
{
	size_t width = 0, i = 0;

	while (i < s.len) {
		unsigned char c = (unsigned char)s.data[i++];
		uint32_t point = c;

		if (c >= 0xc0)
			point = c & (c >= 0xf0   ? 0x07
				     : c >= 0xe0 ? 0x0f
						 : 0x1f);
		while (i < s.len && ((unsigned char)s.data[i] & 0xc0) == 0x80)
			point =
			    point << 6 | ((unsigned char)s.data[i++] & 0x3f);
		width += width_of(point);
	}
	return width;
}
