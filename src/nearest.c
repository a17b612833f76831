/* SPDX-License-Identifier: MIT */
/*
 * nearest.c -- which word was meant; see nearest.h.
 *
 * The distance is that of optimal string alignment: insert, delete, replace,
 * or swap two neighbours, each once.  Three rows of its table are kept.
 */
#include "src/nearest.h"

#include <string.h>

#define LONGEST 64 /* bytes of a word; longer ones are like no other */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t distance(struct rd_slice a, struct rd_slice b)
{
	size_t rows[3][LONGEST + 1];
	size_t *old = rows[0], *last = rows[1], *row = rows[2];

	if (a.len > LONGEST || b.len > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= b.len; j++)
		last[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t *spare = old;

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			bool same = a.data[i - 1] == b.data[j - 1];

			row[j] = least(last[j - 1] + !same,
				       least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
			    a.data[i - 2] == b.data[j - 1])
				row[j] = least(row[j], old[j - 2] + 1);
		}
		old = last;
		last = row;
		row = spare;
	}
	return last[b.len];
}

void rd_nearest_init(struct rd_nearest *n, struct rd_slice word)
{
	*n = (struct rd_nearest){.word = word, .distance = LONGEST};
}

void rd_nearest_try(struct rd_nearest *n, struct rd_slice word)
{
	size_t d = distance(n->word, word);

	if (d >= n->distance)
		return;
	n->best = word;
	n->distance = d;
}

void rd_nearest_add(const struct rd_nearest *n, const char *prefix,
		    struct rd_buf *out)
{
	if (n->distance <= (n->word.len + 2) / 3)
		rd_buf_addf(out, ", did you mean \"%s%.*s\"?", prefix,
			    RD_SLICE_ARG(n->best));
}
