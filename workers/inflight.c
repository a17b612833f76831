/* SPDX-License-Identifier: MIT */
/*
 * inflight.c -- what a child has in its hands; see inflight.h.
 *
 * Messages are given and mostly answered in the same order, so the one that is
 * looked for stands near the front, and the oldest is the first whose time is
 * over, whichever clock holds.
 */
#include "workers/inflight.h"

#define NEARLY                                                                 \
	10 /* what has less than this part of its time left is late too */

void rd_inflight_init(struct rd_inflight *f, uint64_t timeout_ms)
{
	*f = (struct rd_inflight){.timeout_us = timeout_ms * 1000};
	rd_list_init(&f->works);
}

struct rd_work *rd_inflight_first(const struct rd_inflight *f)
{
	return rd_list_empty(&f->works)
		   ? NULL
		   : rd_list_item(f->works.next, struct rd_work, link);
}

void rd_inflight_add(struct rd_inflight *f, struct rd_work *work,
		     uint64_t now_us)
{
	work->seq = ++f->seq;
	work->start_us = now_us;
	work->late = false;
	if (f->count++ == 0)
		f->since_us = now_us;
	rd_list_push(&f->works, &work->link);
}

void rd_inflight_remove(struct rd_inflight *f, struct rd_work *work,
			uint64_t now_us)
{
	if (work == rd_inflight_first(f))
		f->since_us = now_us;
	rd_list_remove(&work->link);
	f->count--;
}

struct rd_work *rd_inflight_answered(struct rd_inflight *f, uint64_t seq,
				     uint64_t now_us)
{
	struct rd_list *pos;

	rd_list_each (pos, &f->works) {
		struct rd_work *work = rd_list_item(pos, struct rd_work, link);

		if (work->seq < seq)
			continue;
		if (work->seq > seq)
			break;
		f->overlaps = f->overlaps || work != rd_inflight_first(f);
		rd_inflight_remove(f, work, now_us);
		return work;
	}
	return NULL;
}

uint64_t rd_inflight_due_us(const struct rd_inflight *f)
{
	const struct rd_work *first = rd_inflight_first(f);

	if (first == NULL)
		return 0;
	return (f->overlaps ? first->start_us : f->since_us) + f->timeout_us;
}

size_t rd_inflight_expire(struct rd_inflight *f, uint64_t now_us)
{
	uint64_t most = f->timeout_us - f->timeout_us / NEARLY;
	struct rd_list *pos;
	size_t n = 0;

	if (f->count == 0 || now_us < rd_inflight_due_us(f))
		return 0;
	rd_list_each (pos, &f->works) {
		struct rd_work *work = rd_list_item(pos, struct rd_work, link);

		/* Nobody knows whether the others have begun. */
		if (n > 0 && (!f->overlaps || now_us < work->start_us + most))
			break;
		work->late = true;
		n++;
	}
	return n;
}
