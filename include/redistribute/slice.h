/* SPDX-License-Identifier: MIT */
/*
 * slice.h -- a borrowed run of bytes: pointer and length, never a NUL needed.
 *
 * A slice owns nothing.  Whoever hands one out says how long its bytes live;
 * the usual answer is "until you return".
 */
#ifndef REDISTRIBUTE_SLICE_H
#define REDISTRIBUTE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct rd_slice {
	const char *data; /* first byte; may be NULL where len is 0 */
	size_t len;       /* bytes */
};

/* The slice of a NUL-terminated string, without its NUL. */
static inline struct rd_slice rd_slice_str(const char *text)
{
	return (struct rd_slice){text, strlen(text)};
}

/* Same bytes? */
static inline bool rd_slice_eq(struct rd_slice a, struct rd_slice b)
{
	return a.len == b.len && (a.len == 0 || !memcmp(a.data, b.data, a.len));
}

/* Same bytes as a NUL-terminated string? */
static inline bool rd_slice_is(struct rd_slice s, const char *text)
{
	return rd_slice_eq(s, rd_slice_str(text));
}

/* For printf: "%.*s", RD_SLICE_ARG(s).  Cuts at the first NUL. */
#define RD_SLICE_ARG(s) (int)(s).len, (s).data == NULL ? "" : (s).data

#endif
