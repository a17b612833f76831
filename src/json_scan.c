/* SPDX-License-Identifier: MIT */
/*
 * json_scan.c -- is this text JSON?
 *
 * Asked for every message that is published and for every one that is read,
 * so it is one pass over the text without memory of its own: of the containers
 * that are open only one bit each is kept, whether it is an object, and nothing
 * calls itself.  Most of a message is the inside of strings, which goes by
 * eight bytes at a time.  Whether it is UTF-8 is asked at the end for all of it
 * at once: outside of strings no byte above 0x7f gets so far.
 *
 * Numbers are not converted.  Whether one is too large for a double is seen
 * from its length and, at 309 digits, from its digits.
 *
 * Not here: what stands in the text (json.c).
 */
#include "src/json_scan.h"
#include "src/utf8.h"

#include <endian.h>
#include <stdint.h>

#define DIGITS_MAX 308 /* so many digits before the point always fit */

struct scan {
	const char *p, *end;
	size_t depth; /* containers that are open */
	bool named;   /* the innermost is an object */
	bool nul;     /* an escaped NUL was seen; cleared before a name */
	uint64_t objects[RD_JSON_DEPTH_MAX / 64]; /* a bit for each depth */
};

/* What may come next. */
enum state { VALUE, NAME, AFTER /* a value */, WRONG };

#define EIGHT(c) (UINT64_C(0x0101010101010101) * (c))

const char *rd_json_plain_end(const char *p, const char *end)
{
	uint64_t x, found;

	/*
	 * A byte less than n is one that borrows when n is subtracted, the
	 * high bit being clear before.  A byte above a borrow may be taken
	 * for one, too; the lowest one found is true.
	 */
	for (; end - p >= 8; p += 8) {
		memcpy(&x, p, 8);
		x = le64toh(x);
		found = ((x - EIGHT(0x20)) | ((x ^ EIGHT('"')) - EIGHT(1)) |
			 ((x ^ EIGHT('\\')) - EIGHT(1))) &
			~x & EIGHT(0x80);
		if (found != 0)
			return p + __builtin_ctzll(found) / 8;
	}
	while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\')
		p++;
	return p;
}

static void skip_space(struct scan *s)
{
	const char *p = s->p;

	while (p < s->end && *p <= ' ' &&
	       (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	s->p = p;
}

/* Passes over this character, if it is the next. */
static bool take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* Passes over one UTF-16 unit, \uXXXX. */
static bool take_unit(struct scan *s, uint32_t *unit_out)
{
	uint32_t unit = 0;

	if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u')
		return false;
	for (int i = 2; i < 6; i++) {
		char c = s->p[i], letter = (char)(c | 0x20);

		if (c >= '0' && c <= '9')
			unit = unit << 4 | (uint32_t)(c - '0');
		else if (letter >= 'a' && letter <= 'f')
			unit = unit << 4 | (uint32_t)(letter - 'a' + 10);
		else
			return false;
	}
	s->p += 6;
	*unit_out = unit;
	return true;
}

/* From a backslash over what it escapes. */
static bool take_escape(struct scan *s)
{
	uint32_t unit;

	if (s->end - s->p < 2)
		return false;
	if (s->p[1] != 'u') {
		s->p += 2;
		return memchr("\"\\/bfnrt", s->p[-1], 8) != NULL;
	}
	if (!take_unit(s, &unit))
		return false;
	s->nul = s->nul || unit == 0;
	if (unit < 0xd800 || unit > 0xdfff)
		return true;
	return unit < 0xdc00 && take_unit(s, &unit) && unit >= 0xdc00 &&
	       unit <= 0xdfff;
}

static bool take_string(struct scan *s)
{
	if (!take(s, '"'))
		return false;
	for (;;) {
		s->p = rd_json_plain_end(s->p, s->end);
		if (take(s, '"'))
			return true;
		if (s->p == s->end || *s->p != '\\' || !take_escape(s))
			return false;
	}
}

/* How many digits were passed over. */
static size_t take_digits(struct scan *s)
{
	const char *start = s->p, *p = start;

	while (p < s->end && *p >= '0' && *p <= '9')
		p++;
	s->p = p;
	return (size_t)(p - start);
}

/* Behind the e; large ones as some number that is large enough. */
static bool take_exponent(struct scan *s, int64_t *exponent_out)
{
	bool negative = take(s, '-');
	const char *digit;
	int64_t n = 0;

	if (!negative)
		take(s, '+');
	digit = s->p;
	if (take_digits(s) == 0)
		return false;
	for (; digit < s->p && n < INT64_MAX / 100; digit++)
		n = n * 10 + (*digit - '0');
	*exponent_out = negative ? -n : n;
	return true;
}

/* Is the number nearer to a double than to infinity?  It has digits, and of
 * these, whole before the point. */
static bool is_finite(struct rd_slice digits, size_t whole, int64_t exponent)
{
	/* 2^1024 - 2^970, half way from the largest double to the next. */
	static const char limit[] =
	    "17976931348623158079372897140530341507993413271003782693617377"
	    "89804449682927647509466490179775872070963302864166928879109465"
	    "55547851940402630657488671505820681908902000708383676273854845"
	    "81771153176447573027006985557136695962284291481986083493647529"
	    "2719074168444365510704342711559699508093042880177904174497792";
	const char *p = digits.data, *end = p + digits.len;
	int64_t magnitude = (int64_t)whole + exponent;

	while (p < end && (*p == '0' || *p == '.'))
		magnitude -= *p++ == '0';
	if (p == end || magnitude != DIGITS_MAX + 1)
		return p == end || magnitude <= DIGITS_MAX;
	for (size_t i = 0; i <= DIGITS_MAX; i++) {
		char digit;

		p += p < end && *p == '.';
		digit = '0';
		if (p < end)
			digit = *p++;
		if (digit != limit[i])
			return digit < limit[i];
	}
	return false;
}

static bool take_number(struct scan *s)
{
	struct rd_slice digits;
	int64_t exponent = 0;
	size_t whole = 1;

	take(s, '-');
	digits.data = s->p;
	if (!take(s, '0'))
		whole = take_digits(s);
	if (whole == 0 || (take(s, '.') && take_digits(s) == 0))
		return false;
	digits.len = (size_t)(s->p - digits.data);
	if ((take(s, 'e') || take(s, 'E')) && !take_exponent(s, &exponent))
		return false;
	return (exponent <= 0 && whole <= DIGITS_MAX) ||
	       is_finite(digits, whole, exponent);
}

static bool take_word(struct scan *s, const char *word, size_t len)
{
	if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return false;
	s->p += len;
	return true;
}

/* Into a container. */
static enum state enter(struct scan *s, bool named)
{
	uint64_t bit = UINT64_C(1) << s->depth % 64;
	uint64_t *bits = &s->objects[s->depth / 64];

	if (s->depth % 64 == 0)
		*bits = 0;
	*bits = named ? *bits | bit : *bits & ~bit;
	s->named = named;
	s->depth++;
	s->p++;
	skip_space(s);
	if (s->p < s->end && *s->p == (named ? '}' : ']'))
		return AFTER;
	return named ? NAME : VALUE;
}

/* Out of the innermost container. */
static void leave(struct scan *s)
{
	size_t outer = --s->depth - 1;

	if (s->depth > 0)
		s->named = s->objects[outer / 64] >> outer % 64 & 1;
}

static enum state judge_value(struct scan *s)
{
	bool good;

	skip_space(s);
	if (s->p == s->end || s->depth == RD_JSON_DEPTH_MAX)
		return WRONG;
	switch (*s->p) {
	case '{':
	case '[':
		return enter(s, *s->p == '{');
	case '"':
		good = take_string(s);
		break;
	case 't':
		good = take_word(s, "true", 4);
		break;
	case 'f':
		good = take_word(s, "false", 5);
		break;
	case 'n':
		good = take_word(s, "null", 4);
		break;
	default:
		good = take_number(s);
	}
	return good ? AFTER : WRONG;
}

static enum state judge_name(struct scan *s)
{
	skip_space(s);
	s->nul = false;
	if (!take_string(s) || s->nul)
		return WRONG;
	skip_space(s);
	return take(s, ':') ? VALUE : WRONG;
}

/* Within a container. */
static enum state judge_after(struct scan *s)
{
	skip_space(s);
	if (take(s, ','))
		return s->named ? NAME : VALUE;
	if (!take(s, s->named ? '}' : ']'))
		return WRONG;
	leave(s);
	return AFTER;
}

bool rd_json_valid(struct rd_slice text)
{
	enum state state = VALUE;
	struct scan s;

	if (text.len == 0)
		return false;
	s.p = text.data;
	s.end = text.data + text.len;
	s.depth = 0;
	s.named = s.nul = false;
	do {
		if (state == VALUE)
			state = judge_value(&s);
		else if (state == NAME)
			state = judge_name(&s);
		else
			state = judge_after(&s);
	} while (state != WRONG && (state != AFTER || s.depth > 0));
	skip_space(&s);
	return state == AFTER && s.p == s.end && rd_utf8_valid(text);
}

size_t rd_json_depth(struct rd_slice text)
{
	const char *p = text.data, *end = text.data + text.len;
	size_t depth = 0, most = 0;

	while (p < end) {
		char c = *p++;

		if (c == '{' || c == '[')
			most = ++depth > most ? depth : most;
		else if (c == '}' || c == ']')
			depth--;
		else if (c == '"')
			while (*(p = rd_json_plain_end(p, end)) != '"')
				p += 2; /* an escape: it is JSON */
		if (c == '"')
			p++;
	}
	return most;
}
