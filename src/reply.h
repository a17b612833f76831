/* SPDX-License-Identifier: MIT */
/*
 * reply.h -- what Redis answered, as a tree.
 *
 * A tree lives in one piece of memory that is thrown away as a whole: it is
 * borrowed, strings included, until the callback that was given it returns.
 */
#ifndef RD_SRC_REPLY_H
#define RD_SRC_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include <redistribute/id.h>
#include <redistribute/slice.h>

enum rd_reply_type {
	RD_REPLY_NIL,
	RD_REPLY_STATUS, /* str */
	RD_REPLY_ERROR,  /* str, beginning with the error's code word */
	RD_REPLY_INT,    /* integer */
	RD_REPLY_STRING, /* str, any bytes */
	RD_REPLY_ARRAY,  /* count items */
};

struct rd_reply {
	enum rd_reply_type type;
	int64_t integer;
	struct rd_slice str; /* always followed by a NUL */
	size_t count;
	struct rd_reply *items;
};

/* Does an error reply begin with this code word ("NOSCRIPT")? */
bool rd_reply_is_error(const struct rd_reply *r, const char *code);
/* Item i of an array, or NULL where r is NULL, no array, or shorter. */
const struct rd_reply *rd_reply_at(const struct rd_reply *r, size_t i);
/* The value behind a name in an array of names and values (a hash, XINFO), or
 * NULL. */
const struct rd_reply *rd_reply_get(const struct rd_reply *r, const char *name);
/* An integer, or a string that holds one; dflt for anything else. */
int64_t rd_reply_int(const struct rd_reply *r, int64_t dflt);
/* The string of a STRING or STATUS; an empty slice (data NULL) otherwise. */
struct rd_slice rd_reply_str(const struct rd_reply *r);
/* A string that holds a stream id; 0-0 for anything else. */
struct rd_id rd_reply_id(const struct rd_reply *r);
/* A copy, to be kept beyond the callback: one piece of memory, free() it. */
struct rd_reply *rd_reply_copy(const struct rd_reply *r);

#endif
