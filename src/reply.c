/* SPDX-License-Identifier: MIT */
/*
 * reply.c -- looking into what Redis answered; see reply.h.
 *
 * Nothing here fails: whoever asks for something that is not there gets the
 * neutral value, so that a caller reads a nested reply in one expression and
 * judges the result once.
 *
 * Not here: how the tree is made (reply_reader.c).
 */
#include "src/reply.h"
#include "src/mem.h"

#include <errno.h>
#include <stdlib.h>

bool rd_reply_is_error(const struct rd_reply *r, const char *code)
{
	size_t len = strlen(code);

	return r != NULL && r->type == RD_REPLY_ERROR && r->str.len >= len &&
	       !memcmp(r->str.data, code, len) &&
	       (r->str.len == len || r->str.data[len] == ' ');
}

const struct rd_reply *rd_reply_at(const struct rd_reply *r, size_t i)
{
	if (r == NULL || r->type != RD_REPLY_ARRAY || i >= r->count)
		return NULL;
	return &r->items[i];
}

const struct rd_reply *rd_reply_get(const struct rd_reply *r, const char *name)
{
	if (r == NULL || r->type != RD_REPLY_ARRAY)
		return NULL;
	for (size_t i = 0; i + 1 < r->count; i += 2) {
		struct rd_slice s = rd_reply_str(&r->items[i]);

		if (s.data != NULL && rd_slice_is(s, name))
			return &r->items[i + 1];
	}
	return NULL;
}

int64_t rd_reply_int(const struct rd_reply *r, int64_t dflt)
{
	struct rd_slice s = rd_reply_str(r);
	long long n;
	char *end;

	if (r != NULL && r->type == RD_REPLY_INT)
		return r->integer;
	if (s.len == 0 ||
	    !(s.data[0] == '-' || (s.data[0] >= '0' && s.data[0] <= '9')))
		return dflt;
	errno = 0;
	n = strtoll(s.data, &end, 10);
	if (errno != 0 || end != s.data + s.len)
		return dflt;
	return n;
}

struct rd_slice rd_reply_str(const struct rd_reply *r)
{
	if (r == NULL ||
	    (r->type != RD_REPLY_STRING && r->type != RD_REPLY_STATUS))
		return (struct rd_slice){NULL, 0};
	return r->str;
}

struct rd_id rd_reply_id(const struct rd_reply *r)
{
	struct rd_id id = RD_ID_ZERO;

	if (rd_id_parse(rd_reply_str(r), &id) < 0)
		return RD_ID_ZERO;
	return id;
}

static size_t size_of(const struct rd_reply *r)
{
	size_t size = r->str.data == NULL ? 0 : r->str.len + 1;

	for (size_t i = 0; i < r->count; i++)
		size += sizeof(*r) + size_of(&r->items[i]);
	return size;
}

/* Nodes from the front, strings from the back, of one piece of memory. */
struct room {
	struct rd_reply *nodes; /* the next free one */
	char *strings;          /* the last one that is taken */
};

static void copy_into(struct rd_reply *to, const struct rd_reply *from,
		      struct room *room)
{
	*to = *from;
	if (from->str.data != NULL) {
		room->strings -= from->str.len + 1;
		memcpy(room->strings, from->str.data, from->str.len);
		room->strings[from->str.len] = '\0';
		to->str.data = room->strings;
	}
	to->items = room->nodes;
	room->nodes += from->count;
	for (size_t i = 0; i < from->count; i++)
		copy_into(&to->items[i], &from->items[i], room);
}

struct rd_reply *rd_reply_copy(const struct rd_reply *r)
{
	size_t size = sizeof(*r) + size_of(r);
	struct rd_reply *copy = rd_alloc(size);
	struct room room = {copy + 1, (char *)copy + size};

	copy_into(copy, r, &room);
	return copy;
}
