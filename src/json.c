/* SPDX-License-Identifier: MIT */
/*
 * json.c -- JSON text in and out.
 *
 * Everything is done on the text itself, by a scanner that relies on the
 * verdict of json_scan.c: in valid JSON a comma, a colon and white space tell
 * nothing that the order of the other tokens does not, so the scanner passes
 * over all of them alike and never fails.  That keeps the bytes of nested
 * values, numbers beyond 64 bits and members that stand twice, all of which a
 * tree of values would lose.
 *
 * Not here: whether a text is JSON (json_scan.c), what the members mean.
 */
#include "src/json.h"
#include "src/mem.h"
#include "src/pack.h"

#include <assert.h>
#include <stdlib.h>

/* A place in text that is known to be valid JSON. */
struct scan {
	const char *p, *end;
};

/* The next token: one of {}[], a string with its quotes, a number or a word.
 * Empty at the end. */
static struct rd_slice next_token(struct scan *s)
{
	const char *p = s->p, *start;

	while (p < s->end && (*p == ' ' || *p == '\t' || *p == '\n' ||
			      *p == '\r' || *p == ',' || *p == ':'))
		p++;
	start = p;
	if (p == s->end) {
		/* nothing left */
	} else if (*p == '"') {
		p = rd_json_plain_end(p + 1, s->end);
		while (*p != '"')
			p = rd_json_plain_end(p + 2, s->end);
		p++;
	} else if (*p == '{' || *p == '}' || *p == '[' || *p == ']') {
		p++;
	} else {
		while (p < s->end && memchr(" \t\n\r,]}", *p, 7) == NULL)
			p++;
	}
	s->p = p;
	return (struct rd_slice){start, (size_t)(p - start)};
}

static bool opens(struct rd_slice token)
{
	return token.data[0] == '{' || token.data[0] == '[';
}

static bool closes(struct rd_slice token)
{
	return token.data[0] == '}' || token.data[0] == ']';
}

/* The whole value that begins with this token. */
static struct rd_slice whole_value(struct scan *s, struct rd_slice token)
{
	const char *start = token.data;
	size_t depth = 0;

	for (;; token = next_token(s)) {
		if (opens(token))
			depth++;
		else if (closes(token))
			depth--;
		if (depth == 0)
			return (struct rd_slice){start, (size_t)(s->p - start)};
	}
}

static uint32_t hex4(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];

		v = v << 4 |
		    (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
	return v;
}

static void add_utf8(struct rd_buf *out, uint32_t c)
{
	if (c < 0x80) {
		rd_buf_addc(out, (char)c);
		return;
	}
	if (c < 0x800) {
		rd_buf_addc(out, (char)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			rd_buf_addc(out, (char)(0xe0 | c >> 12));
		} else {
			rd_buf_addc(out, (char)(0xf0 | c >> 18));
			rd_buf_addc(out, (char)(0x80 | (c >> 12 & 63)));
		}
		rd_buf_addc(out, (char)(0x80 | (c >> 6 & 63)));
	}
	rd_buf_addc(out, (char)(0x80 | (c & 63)));
}

/* Appends what the inside of a string literal stands for.  Never more bytes
 * than it has itself. */
static void unescape(struct rd_buf *out, struct rd_slice s)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *p = s.data, *end = s.data + s.len;

	while (p < end) {
		const char *slash = memchr(p, '\\', (size_t)(end - p));
		uint32_t c;

		rd_buf_add(out, p, (size_t)((slash ? slash : end) - p));
		if (slash == NULL)
			return;
		p = slash + 2;
		if (slash[1] != 'u') {
			rd_buf_addc(out, to[strchr(from, slash[1]) - from]);
			continue;
		}
		c = hex4(p);
		p += 4;
		if (c >= 0xd800 && c < 0xdc00) { /* the high half of a pair */
			c = 0x10000 + ((c - 0xd800) << 10) +
			    (hex4(p + 2) - 0xdc00);
			p += 6;
		}
		add_utf8(out, c);
	}
}

/* What a string token stands for; borrowed from it, or from m->decoded, which
 * is given all the room that the document can need at once. */
static struct rd_slice decode(struct rd_members *m, struct rd_slice token,
			      struct rd_slice document)
{
	struct rd_slice inside = {token.data + 1, token.len - 2};
	size_t was = m->decoded.len;

	if (memchr(inside.data, '\\', inside.len) == NULL)
		return inside;
	if (was == 0)
		rd_buf_room(&m->decoded, document.len);
	unescape(&m->decoded, inside);
	return (struct rd_slice){rd_buf_data(&m->decoded) + was,
				 m->decoded.len - was};
}

/* Digits only, and do they fit? */
static bool is_integer(struct rd_slice s, bool *negative_out, uint64_t *n_out)
{
	bool negative = s.data[0] == '-';
	uint64_t n = 0;

	for (size_t i = negative; i < s.len; i++) {
		uint64_t digit = (uint64_t)(unsigned char)s.data[i] - '0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*negative_out = negative;
	*n_out = n;
	return !negative || n <= (uint64_t)INT64_MAX + 1;
}

static void set_number(struct rd_member *m)
{
	bool negative;
	uint64_t n;

	m->kind = RD_KIND_NUMBER;
	if (!is_integer(m->raw, &negative, &n) || (!negative && n > INT64_MAX))
		return;
	m->kind = RD_KIND_INT;
	m->integer = (int64_t)(negative ? -n : n);
}

static void set_value(struct rd_member *member, struct rd_members *m,
		      struct rd_slice document)
{
	switch (member->raw.data[0]) {
	case '"':
		member->kind = RD_KIND_STRING;
		member->text = decode(m, member->raw, document);
		break;
	case '{':
		member->kind = RD_KIND_MAP;
		break;
	case '[':
		member->kind = RD_KIND_ARRAY;
		break;
	case 't':
	case 'f':
		member->kind = RD_KIND_BOOL;
		member->integer = member->raw.data[0] == 't';
		break;
	case 'n':
		member->kind = RD_KIND_NULL;
		break;
	default:
		set_number(member);
	}
}

/* Cuts what stands in the outermost braces or brackets. */
static int cut(struct rd_slice text, bool named, struct rd_members *m)
{
	struct rd_slice token;
	struct scan s;

	if (!rd_json_valid(text))
		return RD_EFORMAT;
	s = (struct scan){text.data, text.data + text.len};
	if (*next_token(&s).data != (named ? '{' : '['))
		return RD_EFORMAT;
	m->count = 0;
	rd_buf_clear(&m->decoded);
	for (token = next_token(&s); !closes(token); token = next_token(&s)) {
		struct rd_member *member = rd_members_add(m);

		if (named) {
			member->name = decode(m, token, text);
			token = next_token(&s);
		}
		member->raw = whole_value(&s, token);
		set_value(member, m, text);
	}
	return RD_OK;
}

int rd_json_members(struct rd_slice text, struct rd_members *m)
{
	return cut(text, true, m);
}

int rd_json_elements(struct rd_slice text, struct rd_members *m)
{
	return cut(text, false, m);
}

void rd_json_add_string(struct rd_buf *out, struct rd_slice s)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *p = s.data, *end = s.len > 0 ? p + s.len : p;

	rd_buf_addc(out, '"');
	while (p < end) {
		const char *plain = rd_json_plain_end(p, end), *known;

		rd_buf_add(out, p, (size_t)(plain - p));
		if (plain == end)
			break;
		known = memchr(from, *plain, sizeof(from) - 1);
		if (known != NULL) {
			rd_buf_addc(out, '\\');
			rd_buf_addc(out, to[known - from]);
		} else {
			rd_buf_addf(out, "\\u%04x", *plain);
		}
		p = plain + 1;
	}
	rd_buf_addc(out, '"');
}

/* How many values stand directly in each container, in document order. */
struct counts {
	size_t *items; /* owned */
	size_t count, cap;
};

static size_t counts_add(struct counts *c)
{
	if (c->count == c->cap) {
		c->cap = c->cap == 0 ? 64 : c->cap * 2;
		c->items = rd_realloc(c->items, c->cap * sizeof(*c->items));
	}
	c->items[c->count] = 0;
	return c->count++;
}

static void count_values(struct rd_slice text, struct counts *c)
{
	struct scan s = {text.data, text.data + text.len};
	size_t open[RD_JSON_DEPTH_MAX + 1], depth = 0;

	for (;;) {
		struct rd_slice token = next_token(&s);

		if (token.len == 0)
			return;
		if (closes(token)) {
			depth--;
			continue;
		}
		if (depth > 0)
			c->items[open[depth - 1]]++;
		if (opens(token)) {
			assert(depth < RD_JSON_DEPTH_MAX);
			open[depth++] = counts_add(c);
		}
	}
}

static void pack_number(struct rd_slice token, struct rd_buf *out)
{
	bool negative;
	uint64_t n;
	char *copy;

	if (is_integer(token, &negative, &n)) {
		if (negative)
			rd_pack_int(out, (int64_t)-n);
		else
			rd_pack_uint(out, n);
		return;
	}
	copy = rd_strndup(token.data, token.len);
	rd_pack_double(out, strtod(copy, NULL));
	free(copy);
}

static void pack_string(struct rd_slice token, struct rd_buf *out)
{
	struct rd_slice inside = {token.data + 1, token.len - 2};
	struct rd_buf decoded = RD_BUF_INIT;

	if (memchr(inside.data, '\\', inside.len) == NULL) {
		rd_pack_str(out, inside);
		return;
	}
	unescape(&decoded, inside);
	rd_pack_str(out, rd_buf_slice(&decoded));
	rd_buf_fini(&decoded);
}

static void pack_token(struct rd_slice token, size_t values, struct rd_buf *out)
{
	switch (token.data[0]) {
	case '{':
		rd_pack_map(out, values / 2);
		break;
	case '[':
		rd_pack_array(out, values);
		break;
	case '"':
		pack_string(token, out);
		break;
	case 't':
	case 'f':
		rd_pack_bool(out, token.data[0] == 't');
		break;
	case 'n':
		rd_pack_nil(out);
		break;
	default:
		pack_number(token, out);
	}
}

int rd_json_to_pack(struct rd_slice text, struct rd_buf *out)
{
	struct counts c = {0};
	struct scan s;
	size_t at = 0;

	if (!rd_json_valid(text))
		return RD_EFORMAT;
	s = (struct scan){text.data, text.data + text.len};
	/* A map is headed by its size, which JSON tells only at its end. */
	count_values(text, &c);
	for (;;) {
		struct rd_slice token = next_token(&s);

		if (token.len == 0)
			break;
		if (!closes(token))
			pack_token(token, opens(token) ? c.items[at++] : 0,
				   out);
	}
	free(c.items);
	return RD_OK;
}
