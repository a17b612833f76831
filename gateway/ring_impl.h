/* SPDX-License-Identifier: MIT */
/*
 * ring_impl.h -- the inside of rings, for the two files:
 *
 *	ring.c		memory: putting messages in, pushing them out
 *	ring_at.c	finding a place, and what follows it
 */
#ifndef RD_GATEWAY_RING_IMPL_H
#define RD_GATEWAY_RING_IMPL_H

#include "gateway/ring.h"

#define RD_RECORD_NAMED 4          /* slices that each message has */
#define RD_NO_SLICE     UINT32_MAX /* the length of one that is not there */

struct rd_run {
	struct rd_list link;   /* on its ring's list, oldest first */
	struct rd_list page;   /* on the list of pages; own reads: on none */
	struct rd_ring *ring;  /* borrowed */
	struct rd_position is; /* complete from here */
	struct rd_id last;     /* to here */
	struct rd_stream_info *head; /* owned; NULL: see rd_ring_page */
	struct rd_buf bytes;         /* owned: records */
	size_t count;                /* messages */
	size_t charged;              /* bytes of the budget */
};

struct rd_ring {
	struct rd_rings *rings; /* borrowed */
	struct rd_list link;    /* on the list of all, longest unused first */
	struct rd_list runs;
	uint64_t serial;
};

/* Before its bytes, which stand at any address, in each run. */
struct rd_record {
	struct rd_id id;
	uint32_t size;   /* bytes of the record */
	uint32_t slices; /* lengths that follow */
	uint32_t encoding;
	uint32_t reserved; /* 0 */
};

static inline struct rd_run *rd_run_of(struct rd_list *link)
{
	return rd_list_item(link, struct rd_run, link);
}

/* ---- ring.c ---- */

/* The ring, made where there is none yet; it counts as used. */
struct rd_ring *rd_ring_get(struct rd_rings *rings, struct rd_ring **ring);
/* The run that begins at the offset or before it; NULL: none does. */
struct rd_run *rd_run_before(const struct rd_ring *ring, struct rd_id id);
/* The one behind it, or the first of all; NULL: there is none. */
struct rd_run *rd_run_behind(const struct rd_ring *ring,
			     const struct rd_run *run);

#endif
