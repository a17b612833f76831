/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h -- what the fuzz targets share: an input that is taken from the front.
 *
 * An input that is at its end gives zeros and empty slices, so any bytes are
 * an input, and a shorter one means the same as one with zeros behind it.
 */
#ifndef RD_TESTS_FUZZ_H
#define RD_TESTS_FUZZ_H

#include "src/buf.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static inline struct rd_slice fuzz_input(const uint8_t *data, size_t len)
{
	return (struct rd_slice){(const char *)data, len};
}

/* Up to n bytes. */
static inline struct rd_slice fuzz_take(struct rd_slice *in, size_t n)
{
	struct rd_slice s = {in->data, n < in->len ? n : in->len};

	*in = (struct rd_slice){s.data + s.len, in->len - s.len};
	return s;
}

static inline unsigned fuzz_byte(struct rd_slice *in)
{
	struct rd_slice s = fuzz_take(in, 1);

	return s.len == 0 ? 0 : (unsigned char)s.data[0];
}

/* As many bytes as the first one says. */
static inline struct rd_slice fuzz_piece(struct rd_slice *in)
{
	return fuzz_take(in, fuzz_byte(in));
}

/* Up to the next of these bytes, which is dropped. */
static inline struct rd_slice fuzz_until(struct rd_slice *in, char end)
{
	const char *at = in->len == 0 ? NULL : memchr(in->data, end, in->len);
	struct rd_slice s =
	    fuzz_take(in, at == NULL ? in->len : (size_t)(at - in->data));

	(void)fuzz_take(in, 1);
	return s;
}

/* In memory of exactly its size, so that a sanitizer sees its end; free it. */
static inline char *fuzz_exact(struct rd_slice s)
{
	char *copy = malloc(s.len > 0 ? s.len : 1);

	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	return copy;
}

static inline bool fuzz_is_inside(struct rd_slice part, struct rd_slice whole)
{
	return part.data >= whole.data &&
	       part.data + part.len <= whole.data + whole.len;
}

/* For dumps that are compared: its length, and its bytes. */
static inline void fuzz_add(struct rd_buf *out, struct rd_slice s)
{
	rd_buf_addf(out, s.data == NULL ? "none " : "%zu:", s.len);
	rd_buf_addslice(out, s);
}

#endif
