/* SPDX-License-Identifier: MIT */
/*
 * fuzz_glob.c -- any pattern against any text, in src/glob.c.
 *
 * The pattern ends at the first newline.  A second matcher, which tries
 * everything and remembers what it has tried, is written from glob.h alone,
 * and both must agree.  A text whose special characters are written with
 * backslashes must match itself, and nothing else.
 */
#include "src/glob.h"
#include "src/utf8.h"
#include "tests/fuzz/fuzz.h"

#define MAX 300 /* characters of either; the reference takes their product */

/* Characters, as glob.h counts them. */
struct text {
	uint32_t c[MAX];
	size_t len;
};

static struct text characters(struct rd_slice s)
{
	struct text t = {.len = 0};

	for (size_t at = 0; at < s.len && t.len < MAX; t.len++)
		t.c[t.len] = rd_utf8_take(s, &at);
	return t;
}

/* "[...]" at p[*at], behind the bracket: does it hold c?  Moves *at behind
 * it; a class that does not end takes all that is left. */
static bool in_class(const struct text *p, size_t *at, uint32_t c)
{
	bool none = *at < p->len && p->c[*at] == '^', has = false;

	for (*at += none; *at < p->len && p->c[*at] != ']';) {
		bool quoted = p->c[*at] == '\\' && *at + 1 < p->len;
		uint32_t a = p->c[*at + quoted], b = a;

		*at += 1u + quoted;
		if (!quoted && *at + 1 < p->len && p->c[*at] == '-') {
			b = p->c[*at + 1];
			*at += 2;
		}
		has |= (c >= a && c <= b) || (c >= b && c <= a);
	}
	*at += *at < p->len;
	return has != none;
}

/* Does p from i on match t from j on?  tried: both, where that is a no. */
static bool matches(const struct text *p, size_t i, const struct text *t,
		    size_t j, bool (*tried)[MAX + 1])
{
	uint32_t c;
	bool takes;

	if (i == p->len)
		return j == t->len;
	if (tried[i][j])
		return false;
	tried[i][j] = true;
	if (p->c[i] == '*')
		return matches(p, i + 1, t, j, tried) ||
		       (j < t->len && matches(p, i, t, j + 1, tried));
	if (j == t->len)
		return false;
	c = p->c[i++];
	if (c == '[')
		takes = in_class(p, &i, t->c[j]);
	else if (c == '\\' && i < p->len)
		takes = p->c[i++] == t->c[j];
	else
		takes = c == '?' || c == t->c[j];
	return takes && matches(p, i, t, j + 1, tried);
}

static bool reference(struct rd_slice pattern, struct rd_slice text)
{
	struct text p = characters(pattern), t = characters(text);
	bool(*tried)[MAX + 1] = calloc(MAX + 1, sizeof(*tried)), match;

	match = matches(&p, 0, &t, 0, tried);
	free(tried);
	return match;
}

/* Written so that it stands for itself. */
static void check_quoted(struct rd_slice name, struct rd_slice other)
{
	struct rd_buf quoted = RD_BUF_INIT;
	struct rd_slice q;

	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] != '\0' && strchr("*?[\\", name.data[i]))
			rd_buf_addc(&quoted, '\\');
		rd_buf_addc(&quoted, name.data[i]);
	}
	q = rd_buf_slice(&quoted);
	assert(rd_glob_match(q, name));
	assert(rd_glob_match(q, other) == rd_slice_eq(name, other));
	assert(!rd_glob_is_pattern(q));
	rd_buf_fini(&quoted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_slice text = fuzz_input(data, len);
	struct rd_slice pattern = fuzz_until(&text, '\n');
	char *exact_p, *exact_t;

	if (pattern.len > MAX || text.len > MAX)
		return 0;
	pattern.data = exact_p = fuzz_exact(pattern);
	text.data = exact_t = fuzz_exact(text);
	assert(rd_glob_match(pattern, text) == reference(pattern, text));
	check_quoted(text, pattern);
	if (rd_glob_valid(pattern)) {
		assert(pattern.len >= 1 && pattern.len <= RD_GLOB_MAX);
		assert(rd_utf8_valid(pattern) && !rd_utf8_has_control(pattern));
	}
	free(exact_p);
	free(exact_t);
	return 0;
}
