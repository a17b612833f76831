/* SPDX-License-Identifier: MIT */
/*
 * nearest.h -- a word that nobody knows: which one may have been meant?
 */
#ifndef RD_SRC_NEAREST_H
#define RD_SRC_NEAREST_H

#include "src/buf.h"

#include <stddef.h>

struct rd_nearest {
	struct rd_slice word; /* what was written, borrowed */
	struct rd_slice best; /* what is nearest so far, borrowed; or empty */
	size_t distance;      /* between the two, in letters */
};

/* Nothing found yet; word must outlive it. */
void rd_nearest_init(struct rd_nearest *n, struct rd_slice word);
/* One that exists; it must outlive n. */
void rd_nearest_try(struct rd_nearest *n, struct rd_slice word);
/*
 * Appends `, did you mean "WORD"?`, WORD with the prefix before it, where one
 * is near enough: a letter for each three may be missing, too many, another
 * one, or changed with its neighbour.
 */
void rd_nearest_add(const struct rd_nearest *n, const char *prefix,
		    struct rd_buf *out);

#endif
