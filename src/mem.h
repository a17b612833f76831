/* SPDX-License-Identifier: MIT */
/*
 * mem.h -- allocate or abort.
 *
 * A process that is out of memory ends: its supervisor restarts it, the
 * streams keep what was not acknowledged, clients resume.  So nobody checks.
 */
#ifndef RD_SRC_MEM_H
#define RD_SRC_MEM_H

#include <stddef.h>

/* A zeroed object of a type, or of n of them; free() it. */
#define rd_new(type)          ((type *)rd_zalloc(sizeof(type)))
#define rd_new_array(type, n) ((type *)rd_calloc((n), sizeof(type)))

/* n bytes, uninitialised; n may be 0. */
void *rd_alloc(size_t n);
/* n zeroed bytes, and count * size of them (the product may not overflow). */
void *rd_zalloc(size_t n);
void *rd_calloc(size_t count, size_t size);
/* Like realloc(3), but never NULL for n > 0. */
void *rd_realloc(void *p, size_t n);
/* Copies; free() them.  rd_strndup stops at len bytes and adds a NUL. */
char *rd_strdup(const char *text);
char *rd_strndup(const char *data, size_t len);
/* A new string by printf rules. */
char *rd_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* From here on, up to so many freed bytes stay with the process, instead of
 * going back to the kernel at once; what is larger than a block is still taken
 * from it, and given back, alone. */
void rd_mem_keep(size_t bytes, size_t block);

#endif
