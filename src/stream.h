/* SPDX-License-Identifier: MIT */
/*
 * stream.h -- the stream verbs, and their replies as typed entries.
 *
 * Senders return what rd_redis_send() returns; the reply comes to fn, which
 * reads it with the iterators below.
 */
#ifndef RD_SRC_STREAM_H
#define RD_SRC_STREAM_H

#include <redistribute/message.h>

#include "src/redis.h"

/* XREAD COUNT count STREAMS key after, without BLOCK.  Reply: rd_entries_one()
 * or NIL for nothing new. */
RD_MUST_CHECK int rd_stream_read(struct rd_redis *link, struct rd_slice key,
				 struct rd_id after, size_t count,
				 rd_reply_fn *fn, void *arg);
/* XRANGE key from to COUNT count, both inclusive. */
RD_MUST_CHECK int rd_stream_range(struct rd_redis *link, struct rd_slice key,
				  struct rd_id from, struct rd_id to,
				  size_t count, rd_reply_fn *fn, void *arg);
/* XREVRANGE key to from COUNT count, both inclusive, newest first. */
RD_MUST_CHECK int rd_stream_revrange(struct rd_redis *link, struct rd_slice key,
				     struct rd_id to, struct rd_id from,
				     size_t count, rd_reply_fn *fn, void *arg);

/* Walks a list of [id, [name, value, ...]]. */
struct rd_entries {
	const struct rd_reply *list; /* borrowed with the reply; NULL: none */
	size_t at;                   /* the next one */
};
struct rd_entry {
	struct rd_id id;
	const struct rd_reply *fields; /* names and values; NULL where the
					* entry is pending but deleted */
};
/* Of XRANGE and XREVRANGE: the reply is the list. */
struct rd_entries rd_entries_of(const struct rd_reply *reply);
/* Of XREAD and XREADGROUP with one key: [[key, list]] or NIL. */
struct rd_entries rd_entries_one(const struct rd_reply *reply);
size_t rd_entries_count(const struct rd_entries *it);
bool rd_entries_next(struct rd_entries *it, struct rd_entry *entry_out);

/*
 * Understands an entry (message.h).  msg_out borrows from the reply, and its
 * list of fields from storage that the next call uses again.
 */
void rd_entry_message(const struct rd_entry *entry, struct rd_message *msg_out);

#endif
