/* SPDX-License-Identifier: MIT */
/*
 * backlog.c -- count what waits; see backlog.h.
 *
 * One round every two seconds, and only for channels that may be behind, so an
 * idle fleet asks nothing.  Where more are behind than one round asks for, the
 * sum is projected from those that were.  Where Redis must count entries, all
 * of a round together may read so many bytes; the shares are those of the round
 * before.
 */
#include "workers/backlog.h"
#include "src/mem.h"
#include "src/script.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUND_MS    2000
#define ROUND_BYTES 4000000 /* that a round may have Redis read */
#define ASK_MAX     64      /* channels in one round, of each kind */

struct rd_backlog_watch {
	struct rd_self *self; /* borrowed */
	rd_backlog_fn *fn;
	void *arg;
	struct rd_timer timer;
	size_t open;                /* answers that are awaited */
	size_t asked[2], behind[2]; /* of this round: shared, divided */
	size_t sharers;             /* channels asked about by the last; or 0 */
	struct rd_backlog_sum next, last;
};

static void end_round(struct rd_backlog_watch *b)
{
	if (b->asked[1] > 0)
		b->next.divided = b->next.divided * b->behind[1] / b->asked[1];
	b->last = b->next;
	b->sharers = b->asked[0] + b->asked[1];
}

static void note(struct rd_backlog_watch *b, const struct rd_reply *group,
		 uint64_t *sum)
{
	struct rd_id oldest = rd_reply_id(rd_reply_at(group, 4));

	*sum += (uint64_t)rd_reply_int(rd_reply_at(group, 1), 0);
	if (oldest.ms > 0 &&
	    (b->next.oldest_ms == 0 || oldest.ms < b->next.oldest_ms))
		b->next.oldest_ms = oldest.ms;
}

static void answered(struct rd_backlog_watch *b, int err,
		     const struct rd_reply *reply, uint64_t *sum)
{
	size_t n = err == RD_OK ? reply->count : 0;

	for (size_t i = 3; i < n; i++)
		if (rd_slice_eq(rd_reply_str(rd_reply_at(&reply->items[i], 0)),
				b->self->team))
			note(b, &reply->items[i], sum);
	if (--b->open == 0)
		end_round(b);
}

static void shared_answered(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_backlog_watch *b = arg;

	answered(b, err, reply, &b->next.shared);
}

static void divided_answered(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_backlog_watch *b = arg;

	answered(b, err, reply, &b->next.divided);
}

void rd_backlog_ask(struct rd_backlog_watch *b, struct rd_slice key,
		    bool divided)
{
	struct rd_slice args[2];
	char bytes[24];

	snprintf(bytes, sizeof(bytes), "%zu",
		 ROUND_BYTES / (b->sharers > 0 ? b->sharers : ASK_MAX));
	args[0] = rd_slice_str(bytes);
	args[1] = b->self->team;
	b->behind[divided]++;
	if (b->asked[divided] < ASK_MAX &&
	    rd_script_call(b->self->redis, RD_SCRIPT_NUMBERS, &key, 1, args, 2,
			   divided ? divided_answered : shared_answered,
			   b) == RD_OK) {
		b->asked[divided]++;
		b->open++;
	}
}

static void begin_round(void *arg)
{
	struct rd_backlog_watch *b = arg;

	rd_timer_start(&b->timer, ROUND_MS);
	if (b->open > 0 || !b->self->open)
		return;
	b->next = (struct rd_backlog_sum){0};
	b->asked[0] = b->asked[1] = b->behind[0] = b->behind[1] = 0;
	b->fn(b->arg, b);
	if (b->open == 0)
		end_round(b);
}

struct rd_backlog_sum rd_backlog_get(const struct rd_backlog_watch *b)
{
	return b->last;
}

struct rd_backlog_watch *rd_backlog_new(struct rd_self *self, rd_backlog_fn *fn,
					void *arg)
{
	struct rd_backlog_watch *b = rd_new(struct rd_backlog_watch);

	b->self = self;
	b->fn = fn;
	b->arg = arg;
	rd_timer_init(&b->timer, self->loop, begin_round, b);
	rd_timer_start(&b->timer, ROUND_MS);
	return b;
}

void rd_backlog_free(struct rd_backlog_watch **watch)
{
	struct rd_backlog_watch *b = *watch;

	*watch = NULL;
	if (b == NULL)
		return;
	rd_timer_stop(&b->timer);
	free(b);
}
