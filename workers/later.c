/* SPDX-License-Identifier: MIT */
/*
 * later.c -- retries whose time has come; see source.h.
 *
 * An entry that was put off, and need not keep its place, is pending under the
 * consumer "=later" with its due time in a zset beside the channel.  due.lua
 * moves what is due to whoever asks first, and says when to ask again.
 */
#include "src/script.h"
#include "workers/source.h"

#include <stdio.h>

#define CALL_MAX 1000 /* entries that one script call moves */
#define AGAIN_MS 1000 /* after an error */

static void due_now(void *arg)
{
	rd_later_look(arg);
}

void rd_later_init(struct rd_source *s)
{
	rd_timer_init(&s->due_at, s->self->loop, due_now, s);
}

void rd_later_fini(struct rd_source *s)
{
	rd_timer_stop(&s->due_at);
}

void rd_later_look(struct rd_source *s)
{
	s->due = true;
	s->ops->due(s);
}

void rd_later_look_in(struct rd_source *s, uint64_t ms)
{
	rd_timer_start(&s->due_at, ms);
}

static void taken(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_source *s = arg;
	int64_t next;

	s->taking = false;
	s->self->asked -= s->take_count;
	rd_self_wake(s->self);
	s->ops->due(s); /* something may have waited for this answer */
	if (err != RD_OK) {
		rd_later_look_in(s, AGAIN_MS);
		return;
	}
	rd_source_lost(s, rd_reply_at(reply, 1));
	rd_source_adopt(s, rd_reply_at(reply, 2));
	next = rd_reply_int(rd_reply_at(reply, 0), -1);
	if (next == 0)
		rd_later_look(s);
	else if (next > 0)
		rd_later_look_in(s, (uint64_t)next + 1);
}

void rd_later_more(struct rd_source *s, size_t room)
{
	struct rd_buf tries = RD_BUF_INIT, later = RD_BUF_INIT;
	char number[24];

	if (!s->due || !s->ready || s->taking || room == 0)
		return;
	s->take_count = room < CALL_MAX ? room : CALL_MAX;
	snprintf(number, sizeof(number), "%zu", s->take_count);
	rd_timer_stop(&s->due_at);
	rd_source_key(s, "tries", &tries);
	rd_source_key(s, "later", &later);
	s->taking =
	    rd_script_call(
		s->self->redis, RD_SCRIPT_DUE,
		(struct rd_slice[]){rd_buf_slice(&s->key), rd_buf_slice(&tries),
				    rd_buf_slice(&later)},
		3,
		(struct rd_slice[]){s->self->team, rd_slice_str(s->self->name),
				    rd_slice_str(number),
				    rd_slice_str(s->repair ? "1" : "0"),
				    rd_buf_slice(&s->fence)},
		5, taken, s) == RD_OK;
	if (s->taking) {
		s->due = s->repair = false;
		s->self->asked += s->take_count;
	}
	rd_buf_fini(&tries);
	rd_buf_fini(&later);
}
