/* SPDX-License-Identifier: MIT */
/*
 * work.c -- one message in hand; see work.h.
 *
 * The object, the slices of its fields and their bytes are one allocation: a
 * busy worker makes and drops half a million of them a second.  Those of the
 * usual size are kept for the next ones, which is cheaper than malloc(); all
 * this happens on the loop's thread.
 */
#include "workers/work.h"
#include "src/mem.h"
#include "src/message.h"

#include <stdlib.h>

/* In rd_work_new() the slices stand behind the object, then the bytes. */
_Static_assert(sizeof(struct rd_work) % _Alignof(struct rd_slice) == 0,
	       "slices follow a work without padding");

#ifndef __has_feature
#define __has_feature(what) 0 /* it is a word of clang */
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define BLOCK_BYTES 0 /* none is kept: it is to see who uses what was freed */
#else
#define BLOCK_BYTES 1024 /* of one that is kept */
#endif
#define SPARE_MAX 1000 /* so many are kept at most */

static struct rd_list spare = {&spare, &spare};
static size_t spare_count;

static struct rd_work *take_block(void)
{
	struct rd_list *link = rd_list_shift(&spare);

	if (link == NULL)
		return rd_alloc(BLOCK_BYTES);
	spare_count--;
	return rd_list_item(link, struct rd_work, link);
}

static struct rd_slice field(const struct rd_reply *fields, size_t i)
{
	return rd_reply_str(rd_reply_at(fields, i));
}

struct rd_work *rd_work_new(struct rd_source *source,
			    const struct rd_entry *entry, uint64_t deliveries,
			    uint32_t failed)
{
	size_t n = entry->fields->count, bytes = 1;
	struct rd_slice *slices;
	struct rd_work *work;
	char *at;

	for (size_t i = 0; i < n; i++)
		bytes += field(entry->fields, i).len;
	bytes += sizeof(*work) + n * sizeof(*slices);
	work = bytes <= BLOCK_BYTES ? take_block() : rd_alloc(bytes);
	*work = (struct rd_work){.source = source,
				 .deliveries = deliveries,
				 .failed = failed,
				 .bytes = bytes};
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
	if ((*work)->bytes <= BLOCK_BYTES && spare_count < SPARE_MAX) {
		rd_list_insert(spare.next, &(*work)->link);
		spare_count++;
	} else {
		free(*work);
	}
	*work = NULL;
}
