/* SPDX-License-Identifier: MIT */
/*
 * stream.c -- the stream verbs, and their replies as typed entries.
 *
 * Redis answers with nested arrays: an entry is [id, [name, value, ...]], a
 * range is a list of entries, and XREAD wraps one list for each key once more.
 * The iterator takes the list, wherever it stood, and hands out one entry at a
 * time; what does not have the shape of an entry is passed over, because a
 * reader must not stop at it.
 *
 * Not here: what the fields mean (message.c), consumer groups (workers).
 */
#include "src/stream.h"
#include "src/mem.h"
#include "src/message.h"

#include <stdio.h>

#define WORD(text) ((struct rd_slice){text, sizeof(text) - 1})

/* A number as a word; text has room for it. */
static struct rd_slice count_word(size_t n, char text[24])
{
	int len = snprintf(text, 24, "%zu", n);

	return (struct rd_slice){text, (size_t)len};
}

int rd_stream_read(struct rd_redis *link, struct rd_slice key,
		   struct rd_id after, size_t count, rd_reply_fn *fn, void *arg)
{
	char id[RD_ID_TEXT], number[24];
	const struct rd_slice argv[] = {
	    WORD("XREAD"),   WORD("COUNT"), count_word(count, number),
	    WORD("STREAMS"), key,           rd_slice_str(rd_id_text(after, id)),
	};

	return rd_redis_send(link, fn, arg, argv, 6);
}

static int range(struct rd_redis *link, struct rd_slice verb,
		 struct rd_slice key, struct rd_id first, struct rd_id second,
		 size_t count, rd_reply_fn *fn, void *arg)
{
	char one[RD_ID_TEXT], two[RD_ID_TEXT], number[24];
	const struct rd_slice argv[] = {
	    verb,
	    key,
	    rd_slice_str(rd_id_text(first, one)),
	    rd_slice_str(rd_id_text(second, two)),
	    WORD("COUNT"),
	    count_word(count, number),
	};

	return rd_redis_send(link, fn, arg, argv, 6);
}

int rd_stream_range(struct rd_redis *link, struct rd_slice key,
		    struct rd_id from, struct rd_id to, size_t count,
		    rd_reply_fn *fn, void *arg)
{
	return range(link, WORD("XRANGE"), key, from, to, count, fn, arg);
}

int rd_stream_revrange(struct rd_redis *link, struct rd_slice key,
		       struct rd_id to, struct rd_id from, size_t count,
		       rd_reply_fn *fn, void *arg)
{
	return range(link, WORD("XREVRANGE"), key, to, from, count, fn, arg);
}

struct rd_entries rd_entries_of(const struct rd_reply *reply)
{
	if (reply == NULL || reply->type != RD_REPLY_ARRAY)
		reply = NULL;
	return (struct rd_entries){reply, 0};
}

struct rd_entries rd_entries_one(const struct rd_reply *reply)
{
	return rd_entries_of(rd_reply_at(rd_reply_at(reply, 0), 1));
}

size_t rd_entries_count(const struct rd_entries *it)
{
	return it->list == NULL ? 0 : it->list->count;
}

bool rd_entries_next(struct rd_entries *it, struct rd_entry *entry_out)
{
	const struct rd_reply *item;

	while ((item = rd_reply_at(it->list, it->at)) != NULL) {
		struct rd_slice id = rd_reply_str(rd_reply_at(item, 0));
		const struct rd_reply *fields = rd_reply_at(item, 1);

		it->at++;
		if (rd_id_parse(id, &entry_out->id) < 0)
			continue;
		if (fields != NULL && fields->type != RD_REPLY_ARRAY)
			fields = NULL;
		entry_out->fields = fields;
		return true;
	}
	return false;
}

void rd_entry_message(const struct rd_entry *entry, struct rd_message *msg_out)
{
	static struct rd_slice *storage; /* grows, kept for ever */
	static size_t room;
	size_t count = entry->fields == NULL ? 0 : entry->fields->count;

	count -= count % 2; /* a name without a value */
	if (count > room) {
		room = count < 64 ? 64 : count * 2;
		storage = rd_realloc(storage, room * sizeof(*storage));
	}
	for (size_t i = 0; i < count; i++)
		storage[i] = rd_reply_str(&entry->fields->items[i]);
	rd_message_read(entry->id, storage, count, msg_out);
}
