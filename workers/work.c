/* SPDX-License-Identifier: MIT */
/*
 * work.c -- one message in hand; see work.h.
 *
 * The object, the slices of its fields and their bytes are one allocation: a
 * busy worker makes and drops a hundred thousand of them a second.
 */
#include "workers/work.h"
#include "src/mem.h"
#include "src/message.h"

#include <stdlib.h>

/* In rd_work_new() the slices stand behind the object, then the bytes. */
_Static_assert(sizeof(struct rd_work) % _Alignof(struct rd_slice) == 0,
	       "slices follow a work without padding");

static struct rd_slice field(const struct rd_reply *fields, size_t i)
{
	return rd_reply_str(rd_reply_at(fields, i));
}

struct rd_work *rd_work_new(struct rd_source *source,
			    const struct rd_entry *entry, uint64_t deliveries,
			    uint32_t failed)
{
	size_t n = entry->fields->count, bytes = 0;
	struct rd_slice *slices;
	struct rd_work *work;
	char *at;

	for (size_t i = 0; i < n; i++)
		bytes += field(entry->fields, i).len;
	work = rd_alloc(sizeof(*work) + n * sizeof(*slices) + bytes + 1);
	*work = (struct rd_work){
	    .source = source, .deliveries = deliveries, .failed = failed};
	rd_list_init(&work->link);
	slices = (struct rd_slice *)(void *)(work + 1);
	at = (char *)(slices + n);
	for (size_t i = 0; i < n; i++) {
		struct rd_slice s = field(entry->fields, i);

		if (s.len > 0)
			memcpy(at, s.data, s.len);
		slices[i] = (struct rd_slice){at, s.len};
		at += s.len;
	}
	work->fields = slices;
	work->field_count = n;
	rd_message_read(entry->id, slices, n, &work->message);
	return work;
}

void rd_work_free(struct rd_work **work)
{
	if (*work == NULL)
		return;
	rd_verdict_fini(&(*work)->verdict);
	free(*work);
	*work = NULL;
}
