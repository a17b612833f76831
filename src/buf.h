/* SPDX-License-Identifier: MIT */
/*
 * buf.h -- growable bytes.
 *
 * Appending at the end and dropping from the front are both cheap: the front
 * moves by an index and the bytes are moved down only when room is needed.
 */
#ifndef RD_SRC_BUF_H
#define RD_SRC_BUF_H

#include <stddef.h>
#include <stdint.h>

#include <redistribute/error.h>
#include <redistribute/slice.h>

struct rd_buf {
	char *mem;   /* owned, NULL before the first byte */
	size_t head; /* index of the first byte that is still there */
	size_t len;  /* bytes that are there */
	size_t cap;  /* bytes allocated at mem */
};

#define RD_BUF_INIT ((struct rd_buf){0})

void rd_buf_init(struct rd_buf *b);
/* Frees the bytes; the buffer is as after init. */
void rd_buf_fini(struct rd_buf *b);
/* Forgets the bytes, keeps the allocation. */
void rd_buf_clear(struct rd_buf *b);

/* The bytes, borrowed until the next call that changes b. */
static inline char *rd_buf_data(const struct rd_buf *b)
{
	return b->mem == NULL ? NULL : b->mem + b->head;
}

static inline struct rd_slice rd_buf_slice(const struct rd_buf *b)
{
	return (struct rd_slice){b->mem == NULL ? "" : b->mem + b->head,
				 b->len};
}

/* For rd_buf_room(), where there is no room. */
char *rd_buf_make_room(struct rd_buf *b, size_t n);
/* Room for n more bytes behind the last; returns where they go.  Count them
 * in with rd_buf_grew(). */
static inline char *rd_buf_room(struct rd_buf *b, size_t n)
{
	if (b->mem != NULL && b->head + b->len + n <= b->cap)
		return b->mem + b->head + b->len;
	return rd_buf_make_room(b, n);
}
static inline void rd_buf_grew(struct rd_buf *b, size_t n)
{
	b->len += n;
}

/* Appends. */
void rd_buf_add(struct rd_buf *b, const void *data, size_t len);
void rd_buf_adds(struct rd_buf *b, const char *text);
void rd_buf_addslice(struct rd_buf *b, struct rd_slice s);
void rd_buf_addc(struct rd_buf *b, char c);
void rd_buf_addf(struct rd_buf *b, const char *fmt, ...) RD_PRINTF(2, 3);
/* Appends an unsigned number in decimal; faster than addf. */
void rd_buf_addu(struct rd_buf *b, uint64_t n);
/* Appends base64 (RFC 4648 section 4, with padding) of the bytes. */
void rd_buf_addbase64(struct rd_buf *b, struct rd_slice bytes);
/*
 * Appends the bytes that a base64 text stands for; padding is required.
 * RD_EFORMAT where it is not base64: nothing is appended then.
 */
RD_MUST_CHECK int rd_buf_addunbase64(struct rd_buf *b, struct rd_slice text);

/* Drops n bytes (at most all) from the front. */
void rd_buf_drop(struct rd_buf *b, size_t n);
/* Keeps the first n bytes only. */
void rd_buf_cut(struct rd_buf *b, size_t n);
/* The bytes as a NUL-terminated string, borrowed like rd_buf_data(). */
const char *rd_buf_text(struct rd_buf *b);

#endif
