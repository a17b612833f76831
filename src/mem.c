/* SPDX-License-Identifier: MIT */
/*
 * mem.c -- allocate or abort; mem.h says why.
 */
#include "src/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p, size_t n)
{
	if (p == NULL && n > 0) {
		fprintf(stderr, "out of memory: %zu bytes asked\n", n);
		abort();
	}
	return p;
}

void *rd_alloc(size_t n)
{
	return checked(malloc(n), n);
}

void *rd_zalloc(size_t n)
{
	return checked(calloc(1, n), n);
}

void *rd_calloc(size_t count, size_t size)
{
	/* calloc() itself answers NULL where the product overflows. */
	return checked(calloc(count, size), count > 0 && size > 0 ? 1 : 0);
}

void *rd_realloc(void *p, size_t n)
{
	return checked(realloc(p, n), n);
}

char *rd_strdup(const char *text)
{
	return rd_strndup(text, strlen(text));
}

char *rd_strndup(const char *data, size_t len)
{
	char *copy = rd_alloc(len + 1);

	if (len > 0)
		memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

char *rd_asprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return checked(n < 0 ? NULL : text, 1);
}

void rd_mem_keep(size_t bytes, size_t block)
{
#ifdef __GLIBC__
	mallopt(M_TRIM_THRESHOLD, (int)bytes);
	mallopt(M_MMAP_THRESHOLD, (int)block);
#else
	(void)bytes;
	(void)block;
#endif
}
