/* SPDX-License-Identifier: MIT */
/*
 * ring_at.c -- places in a ring, and what follows them; see ring.h.
 *
 * Not here: memory (ring.c).
 */
#include "gateway/ring_impl.h"
#include "src/mem.h"

static const char *record_at(const struct rd_run *run, size_t at,
			     struct rd_record *r_out)
{
	const char *data = rd_buf_data(&run->bytes) + at;

	memcpy(r_out, data, sizeof(*r_out));
	return data;
}

static void passed(struct rd_ring_at *at, const struct rd_record *r)
{
	at->at += r->size;
	at->is.id = r->id;
	if (at->is.count != RD_COUNT_UNKNOWN)
		at->is.count++;
}

/* Onto the run that goes on where this one ends; false where none does. */
static bool cross(struct rd_ring_at *at)
{
	struct rd_run *next = rd_run_behind(at->run->ring, at->run);

	if (next == NULL || rd_id_cmp(next->is.id, at->run->last) != 0)
		return false;
	at->run = next;
	at->at = 0;
	at->is.id = next->is.id;
	if (next->is.count != RD_COUNT_UNKNOWN)
		at->is.count = next->is.count;
	return true;
}

struct rd_id rd_ring_peek(const struct rd_ring_at *at)
{
	struct rd_ring_at look = *at;
	struct rd_record r;

	while (look.at >= look.run->bytes.len)
		if (!cross(&look))
			return RD_ID_ZERO;
	record_at(look.run, look.at, &r);
	return r.id;
}

/* Walks to an offset that the run covers. */
static enum rd_ring_found walk_to(struct rd_ring_at *at, struct rd_id id)
{
	const struct rd_run *run = at->run;
	struct rd_record r;

	while (at->at < run->bytes.len) {
		record_at(run, at->at, &r);
		if (rd_id_cmp(r.id, id) > 0)
			break;
		passed(at, &r);
	}
	if (rd_id_cmp(at->is.id, id) == 0)
		return RD_RING_AT;
	at->is.id = id;
	/* No id lies between two that follow each other. */
	if (rd_id_cmp(rd_id_next(id), rd_ring_peek(at)) == 0)
		return RD_RING_AT;
	return RD_RING_AMID;
}

static struct rd_ring_at at_start(struct rd_run *run)
{
	return (struct rd_ring_at){.run = run, .is = run->is};
}

enum rd_ring_found rd_ring_find(struct rd_rings *rings, struct rd_ring *ring,
				struct rd_id id, struct rd_ring_at *at_out)
{
	struct rd_run *run, *behind;
	int past;

	if (ring == NULL)
		return RD_RING_NONE;
	rd_ring_get(rings, &ring); /* it is used */
	run = rd_run_before(ring, id);
	behind = rd_run_behind(ring, run);
	past = run == NULL ? 1 : rd_id_cmp(id, run->last);
	if (past < 0) {
		*at_out = at_start(run);
		return walk_to(at_out, id);
	}
	if (behind == NULL)
		return RD_RING_NONE;
	*at_out = at_start(behind);
	return behind->head != NULL ? RD_RING_BEFORE : RD_RING_NONE;
}

bool rd_ring_newest(struct rd_ring *ring, struct rd_ring_at *at_out)
{
	struct rd_record r = {.size = 0};
	struct rd_run *run;

	if (ring == NULL || rd_list_empty(&ring->runs))
		return false;
	run = rd_run_of(ring->runs.prev);
	if (run->count == 0)
		return false;
	*at_out = at_start(run);
	for (size_t left = run->count; left > 1; left--) {
		record_at(run, at_out->at, &r);
		passed(at_out, &r);
	}
	return true;
}

const struct rd_stream_info *rd_ring_head(const struct rd_ring_at *at)
{
	return at->run->head;
}

size_t rd_ring_next(struct rd_ring_at *at, struct rd_message *msg_out)
{
	static struct rd_slice *slices; /* grows, kept for ever */
	static size_t room;
	const char *lengths, *data;
	struct rd_record r;

	while (at->at >= at->run->bytes.len) {
		at->is.id = at->run->last;
		if (!cross(at))
			return 0;
	}
	lengths = record_at(at->run, at->at, &r) + sizeof(r);
	data = lengths + r.slices * sizeof(uint32_t);
	if (r.slices > room) {
		room = r.slices < 64 ? 64 : r.slices * 2;
		slices = rd_realloc(slices, room * sizeof(*slices));
	}
	for (size_t i = 0; i < r.slices; i++) {
		uint32_t len;

		memcpy(&len, lengths + i * sizeof(len), sizeof(len));
		slices[i] = (struct rd_slice){NULL, 0};
		if (len == RD_NO_SLICE)
			continue;
		slices[i] = (struct rd_slice){data, len};
		data += len;
	}
	*msg_out =
	    (struct rd_message){.id = r.id,
				.encoding = (enum rd_encoding)r.encoding,
				.payload = slices[0],
				.type = slices[1],
				.from = slices[2],
				.key = slices[3],
				.fields = slices + RD_RECORD_NAMED,
				.field_count = r.slices - RD_RECORD_NAMED};
	passed(at, &r);
	return r.size;
}
