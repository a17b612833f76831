/* SPDX-License-Identifier: MIT */
/*
 * outbox.c -- what one client publishes, on its way into Redis; see outbox.h.
 */
#include "gateway/outbox.h"
#include "src/mem.h"

#include <stdlib.h>

#define COUNT_MAX 1000
#define BYTES_MAX (1 << 20)

struct parcel {
	struct rd_list link;      /* on the outbox's list */
	struct rd_outbox *outbox; /* borrowed; NULL once it has ended */
	uint64_t tag;
	size_t bytes;
};

void rd_outbox_init(struct rd_outbox *o, struct rd_publisher *publisher,
		    rd_outbox_fn *fn, void *arg)
{
	*o = (struct rd_outbox){.publisher = publisher, .fn = fn, .arg = arg};
	rd_list_init(&o->pending);
}

void rd_outbox_fini(struct rd_outbox *o)
{
	struct rd_list *l;

	while ((l = rd_list_shift(&o->pending)) != NULL)
		rd_list_item(l, struct parcel, link)->outbox = NULL;
}

bool rd_outbox_full(const struct rd_outbox *o)
{
	return o->count >= COUNT_MAX || o->bytes >= BYTES_MAX;
}

static void forget(struct parcel *p)
{
	if (p->outbox != NULL) {
		p->outbox->count--;
		p->outbox->bytes -= p->bytes;
		rd_list_remove(&p->link);
	}
	free(p);
}

static void published(void *arg, int err, struct rd_id offset, const char *why)
{
	struct parcel *p = arg;
	struct rd_outbox *o = p->outbox;
	uint64_t tag = p->tag;

	forget(p);
	if (o != NULL)
		o->fn(o->arg, tag, err, offset, why);
}

int rd_outbox_send(struct rd_outbox *o, struct rd_slice channel,
		   const struct rd_message *msg, uint64_t tag)
{
	struct parcel *p = rd_new(struct parcel);
	int err;

	p->outbox = o;
	p->tag = tag;
	p->bytes = msg->payload.len;
	rd_list_init(&p->link);
	rd_list_push(&o->pending, &p->link);
	o->count++;
	o->bytes += p->bytes;
	err = rd_publisher_send(o->publisher, channel, msg, published, p);
	if (err != RD_OK)
		forget(p);
	return err;
}
