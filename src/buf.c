/* SPDX-License-Identifier: MIT */
/*
 * buf.c -- growable bytes; see buf.h.
 */
#include "src/buf.h"
#include "src/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void rd_buf_init(struct rd_buf *b)
{
	*b = RD_BUF_INIT;
}

void rd_buf_fini(struct rd_buf *b)
{
	free(b->mem);
	*b = RD_BUF_INIT;
}

void rd_buf_clear(struct rd_buf *b)
{
	b->head = b->len = 0;
}

char *rd_buf_make_room(struct rd_buf *b, size_t n)
{
	size_t cap = b->cap == 0 ? 64 : b->cap;

	/* Moving down is paid for by the bytes that were dropped. */
	if (b->mem != NULL && b->head >= b->len && b->len + n <= b->cap) {
		memmove(b->mem, b->mem + b->head, b->len);
		b->head = 0;
		return b->mem + b->len;
	}
	while (cap < b->head + b->len + n)
		cap *= 2;
	b->mem = rd_realloc(b->mem, cap);
	b->cap = cap;
	return b->mem + b->head + b->len;
}

void rd_buf_add(struct rd_buf *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(rd_buf_room(b, len), data, len);
	b->len += len;
}

void rd_buf_adds(struct rd_buf *b, const char *text)
{
	rd_buf_add(b, text, strlen(text));
}

void rd_buf_addslice(struct rd_buf *b, struct rd_slice s)
{
	rd_buf_add(b, s.data, s.len);
}

void rd_buf_addc(struct rd_buf *b, char c)
{
	*rd_buf_room(b, 1) = c;
	b->len++;
}

void rd_buf_addf(struct rd_buf *b, const char *fmt, ...)
{
	va_list ap, again;
	size_t room = 128;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(rd_buf_room(b, room), room, fmt, ap);
	assert(n >= 0);
	if ((size_t)n >= room) {
		room = (size_t)n + 1;
		vsnprintf(rd_buf_room(b, room), room, fmt, again);
	}
	b->len += (size_t)n;
	va_end(again);
	va_end(ap);
}

void rd_buf_addu(struct rd_buf *b, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	rd_buf_add(b, digits + at, sizeof(digits) - at);
}

static const char base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void rd_buf_addbase64(struct rd_buf *b, struct rd_slice bytes)
{
	const unsigned char *in = (const unsigned char *)bytes.data;
	char *out = rd_buf_room(b, (bytes.len + 2) / 3 * 4);

	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t v = (uint32_t)in[i] << 16;

		if (left > 1)
			v |= (uint32_t)in[i + 1] << 8;
		if (left > 2)
			v |= in[i + 2];
		*out++ = base64[v >> 18];
		*out++ = base64[v >> 12 & 63];
		*out++ = left > 1 ? base64[v >> 6 & 63] : '=';
		*out++ = left > 2 ? base64[v & 63] : '=';
	}
	b->len += (bytes.len + 2) / 3 * 4;
}

int rd_buf_addunbase64(struct rd_buf *b, struct rd_slice text)
{
	size_t pad = 0, was = b->len;
	uint32_t v = 0;

	if (text.len % 4 != 0)
		return RD_EFORMAT;
	while (pad < 2 && pad < text.len &&
	       text.data[text.len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < text.len; i++) {
		const char *p = NULL;

		if (i < text.len - pad && text.data[i] != '\0')
			p = strchr(base64, text.data[i]);
		if (p == NULL && i < text.len - pad)
			goto fail;
		v = v << 6 | (p == NULL ? 0 : (uint32_t)(p - base64));
		if (i % 4 == 3) {
			rd_buf_addc(b, (char)(v >> 16));
			rd_buf_addc(b, (char)(v >> 8));
			rd_buf_addc(b, (char)v);
			v = 0;
		}
	}
	b->len -= pad;
	return RD_OK;
fail:
	b->len = was;
	return RD_EFORMAT;
}

void rd_buf_drop(struct rd_buf *b, size_t n)
{
	if (n >= b->len) {
		rd_buf_clear(b);
		return;
	}
	b->head += n;
	b->len -= n;
}

void rd_buf_cut(struct rd_buf *b, size_t n)
{
	if (n < b->len)
		b->len = n;
}

const char *rd_buf_text(struct rd_buf *b)
{
	*rd_buf_room(b, 1) = '\0';
	return rd_buf_data(b);
}
