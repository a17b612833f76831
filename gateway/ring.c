/* SPDX-License-Identifier: MIT */
/*
 * ring.c -- messages of a channel in memory; see ring.h.
 *
 * A run is one piece of memory that grows: packed messages, each understood
 * already (which encoding its payload really has), so that a page is encoded
 * without judging it again, in whatever codec somebody asks for.
 *
 *	record	id, sizes; then the length of each slice; then their bytes
 *	slices	payload, type, from, key, and the fields of a foreign entry
 *
 * Runs stand in order of their offsets and never overlap.  They are short
 * (RUN_BYTES), because the oldest one goes as a whole, and because a place in
 * it is found by walking.
 *
 * Not here: finding a place, and going on from it (ring_at.c).
 */
#include "gateway/ring_impl.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>

#define RUN_BYTES  32768 /* a run that is this large is followed by another */
#define PAGES_PART 4     /* pages hold at most this part of the budget */

struct rd_rings {
	size_t limit;         /* bytes */
	size_t bytes;         /* charged by all */
	size_t page_bytes;    /* of them, by pages */
	uint64_t evicted;     /* messages */
	uint64_t serial;      /* of the last ring */
	struct rd_list rings; /* longest unused first */
	struct rd_list pages; /* runs that were put, oldest first */
};

struct rd_rings *rd_rings_new(size_t limit_bytes)
{
	struct rd_rings *rings = rd_new(struct rd_rings);

	rings->limit = limit_bytes;
	rd_list_init(&rings->rings);
	rd_list_init(&rings->pages);
	return rings;
}

void rd_rings_free(struct rd_rings **rings)
{
	if (*rings == NULL)
		return;
	assert(rd_list_empty(&(*rings)->rings));
	free(*rings);
	*rings = NULL;
}

size_t rd_rings_bytes(const struct rd_rings *rings)
{
	return rings->bytes;
}

uint64_t rd_rings_evicted(const struct rd_rings *rings)
{
	return rings->evicted;
}

uint64_t rd_ring_serial(const struct rd_ring *ring)
{
	return ring->serial;
}

/* ---- memory ---- */

static void run_charge(struct rd_run *run)
{
	struct rd_rings *rings = run->ring->rings;
	size_t now = sizeof(*run) + run->bytes.cap;

	if (run->head != NULL)
		now += sizeof(*run->head);
	rings->bytes += now - run->charged;
	if (!rd_list_empty(&run->page))
		rings->page_bytes += now - run->charged;
	run->charged = now;
}

static void run_free(struct rd_run *run)
{
	struct rd_rings *rings = run->ring->rings;

	rings->bytes -= run->charged;
	if (!rd_list_empty(&run->page))
		rings->page_bytes -= run->charged;
	rd_list_remove(&run->link);
	rd_list_remove(&run->page);
	rd_buf_fini(&run->bytes);
	free(run->head);
	free(run);
}

/* A run from here, behind another one; NULL: before all. */
static struct rd_run *run_new(struct rd_ring *ring, struct rd_run *behind,
			      struct rd_position is)
{
	struct rd_run *run = rd_new(struct rd_run);
	struct rd_list *before =
	    behind == NULL ? ring->runs.next : behind->link.next;

	run->ring = ring;
	run->is = is;
	run->last = is.id;
	rd_list_init(&run->link);
	rd_list_init(&run->page);
	rd_list_insert(before, &run->link);
	return run;
}

struct rd_ring *rd_ring_get(struct rd_rings *rings, struct rd_ring **ring)
{
	if (*ring == NULL) {
		*ring = rd_new(struct rd_ring);
		(*ring)->rings = rings;
		(*ring)->serial = ++rings->serial;
		rd_list_init(&(*ring)->link);
		rd_list_init(&(*ring)->runs);
	}
	rd_list_remove(&(*ring)->link);
	rd_list_push(&rings->rings, &(*ring)->link);
	return *ring;
}

void rd_ring_free(struct rd_ring **ring)
{
	if (*ring == NULL)
		return;
	while (!rd_list_empty(&(*ring)->runs))
		run_free(rd_run_of((*ring)->runs.next));
	rd_list_remove(&(*ring)->link);
	free(*ring);
	*ring = NULL;
}

static void run_evict(struct rd_run *run)
{
	run->ring->rings->evicted += run->count;
	run_free(run);
}

void rd_rings_shrink(struct rd_rings *rings)
{
	while (rings->page_bytes > rings->limit / PAGES_PART)
		run_evict(rd_list_item(rings->pages.next, struct rd_run, page));
	while (rings->bytes > rings->limit) {
		struct rd_ring *ring =
		    rd_list_item(rings->rings.next, struct rd_ring, link);

		if (!rd_list_empty(&ring->runs))
			run_evict(rd_run_of(ring->runs.next));
		else /* it is its channel that frees it */
			rd_list_remove(&ring->link);
	}
}

/* ---- putting in ---- */

static void add_slice(struct rd_buf *bytes, size_t *length_at,
		      struct rd_slice s)
{
	uint32_t len = s.data == NULL ? RD_NO_SLICE : (uint32_t)s.len;

	memcpy(rd_buf_data(bytes) + *length_at, &len, sizeof(len));
	*length_at += sizeof(len);
	if (s.data != NULL)
		rd_buf_addslice(bytes, s);
}

static void run_add(struct rd_run *run, const struct rd_message *msg)
{
	const struct rd_slice named[RD_RECORD_NAMED] = {msg->payload, msg->type,
							msg->from, msg->key};
	size_t start = run->bytes.len, at = start + sizeof(struct rd_record);
	struct rd_record r = {.id = msg->id,
			      .slices =
				  RD_RECORD_NAMED + (uint32_t)msg->field_count,
			      .encoding = msg->encoding};
	size_t lengths = r.slices * sizeof(uint32_t);

	rd_buf_room(&run->bytes, sizeof(r) + lengths);
	rd_buf_grew(&run->bytes, sizeof(r) + lengths);
	for (size_t i = 0; i < RD_RECORD_NAMED; i++)
		add_slice(&run->bytes, &at, named[i]);
	for (size_t i = 0; i < msg->field_count; i++)
		add_slice(&run->bytes, &at, msg->fields[i]);
	r.size = (uint32_t)(run->bytes.len - start);
	memcpy(rd_buf_data(&run->bytes) + start, &r, sizeof(r));
	run->count++;
	run->last = msg->id;
}

void rd_ring_append(struct rd_rings *rings, struct rd_ring **ring_p,
		    struct rd_position after, struct rd_entries entries,
		    struct rd_ring_at *at_out)
{
	struct rd_ring *ring = rd_ring_get(rings, ring_p);
	struct rd_run *run = NULL;
	struct rd_position at = after;
	struct rd_message msg;
	struct rd_entry entry;

	at_out->run = NULL;
	if (!rd_list_empty(&ring->runs))
		run = rd_run_of(ring->runs.prev);
	while (rd_entries_next(&entries, &entry)) {
		if (run == NULL || !rd_list_empty(&run->page) ||
		    run->bytes.len >= RUN_BYTES ||
		    rd_id_cmp(run->last, at.id) != 0)
			run = run_new(ring, run, at);
		if (at_out->run == NULL)
			*at_out =
			    (struct rd_ring_at){run, run->bytes.len, after};
		rd_entry_message(&entry, &msg);
		run_add(run, &msg);
		run_charge(run);
		at.id = entry.id;
		if (at.count != RD_COUNT_UNKNOWN)
			at.count++;
	}
}

struct rd_run *rd_run_before(const struct rd_ring *ring, struct rd_id id)
{
	for (struct rd_list *l = ring->runs.prev; l != &ring->runs; l = l->prev)
		if (rd_id_cmp(rd_run_of(l)->is.id, id) <= 0)
			return rd_run_of(l);
	return NULL;
}

struct rd_run *rd_run_behind(const struct rd_ring *ring,
			     const struct rd_run *run)
{
	struct rd_list *l = run == NULL ? ring->runs.next : run->link.next;

	return l == &ring->runs ? NULL : rd_run_of(l);
}

static void page_fill(struct rd_run *run, const struct rd_ring_page *page,
		      struct rd_id upto)
{
	struct rd_entries it = page->entries;
	struct rd_message msg;
	struct rd_entry entry;

	while (rd_entries_next(&it, &entry)) {
		if (rd_id_cmp(entry.id, run->is.id) <= 0)
			continue;
		if (rd_id_cmp(entry.id, upto) > 0)
			break;
		rd_entry_message(&entry, &msg);
		run_add(run, &msg);
	}
	run->last = upto;
}

void rd_ring_put(struct rd_rings *rings, struct rd_ring **ring_p,
		 const struct rd_ring_page *page)
{
	struct rd_ring *ring = rd_ring_get(rings, ring_p);
	struct rd_run *before = rd_run_before(ring, page->after.id);
	struct rd_run *behind = rd_run_behind(ring, before), *run;
	struct rd_position from = page->after;
	struct rd_id upto = page->upto;

	if (before != NULL && rd_id_cmp(before->last, from.id) > 0)
		from = (struct rd_position){before->last, RD_COUNT_UNKNOWN};
	if (behind != NULL && rd_id_cmp(behind->is.id, upto) < 0)
		upto = behind->is.id;
	if (rd_id_cmp(from.id, upto) >= 0)
		return;
	run = run_new(ring, before, from);
	if (page->head != NULL && rd_id_cmp(from.id, page->after.id) == 0) {
		run->head = rd_new(struct rd_stream_info);
		*run->head = *page->head;
	}
	page_fill(run, page, upto);
	rd_list_push(&rings->pages, &run->page);
	run_charge(run);
}
