/* SPDX-License-Identifier: MIT */
/*
 * lane.c -- the order of one divided channel; see lane.h.
 *
 * Whatever is taken waits in the queue; the runner gets all of it where it has
 * a queue of its own and minds the gate, else one at a time.
 *
 * A message that fails stops the lane: what stands behind it is dropped from
 * the hand (it stays pending), the failure is committed, and after the delay
 * the lane begins again with a claim.  So a lane that waits holds nothing, and
 * its next owner would find it in the same state.
 */
#include "workers/lane.h"
#include "src/clock.h"
#include "src/mem.h"
#include "workers/intake.h"
#include "workers/lane_impl.h"
#include "workers/runner.h"

#include <stdlib.h>

static struct rd_lane *lane_of(struct rd_source *s)
{
	return (struct rd_lane *)(void *)s;
}

void rd_lane_look_soon(struct rd_lane *lane)
{
	rd_task_defer(&lane->look, lane->source.self->loop);
}

bool rd_lane_is_stopped(const struct rd_lane *lane)
{
	return lane->closing || lane->failed || lane->waiting || lane->calling;
}

void rd_lane_wait(struct rd_lane *lane, uint64_t ms)
{
	lane->waiting = true;
	rd_timer_start(&lane->retry, ms + 1);
}

static void drop_queue(struct rd_lane *lane)
{
	struct rd_list *pos, *tmp;

	lane->left = lane->left || !rd_list_empty(&lane->queue);
	rd_list_each_safe (pos, tmp, &lane->queue)
		rd_source_drop(&lane->source,
			       rd_list_item(pos, struct rd_work, link));
}

void rd_lane_reset(struct rd_lane *lane)
{
	lane->claiming = true;
	lane->anew = lane->calling;
	lane->absent = false;
	rd_buf_clear(&lane->after);
	drop_queue(lane);
	rd_lane_look_soon(lane);
}

static void wait_over(void *arg)
{
	struct rd_lane *lane = arg;

	lane->waiting = false;
	rd_lane_reset(lane);
}

/* --- what happens to its messages ----------------------------------------- */

static void taken(struct rd_source *s, struct rd_work *work)
{
	struct rd_lane *lane = lane_of(s);

	work->gate = &lane->gate;
	if (lane->calling && work->deliveries > 1)
		s->self->counters.rescued++;
	rd_list_push(&lane->queue, &work->link);
	rd_lane_look_soon(lane);
}

static void back(struct rd_lane *lane)
{
	lane->out--;
	if (lane->out == 0)
		lane->solo = false;
	rd_lane_look_soon(lane);
}

static void skipped(struct rd_source *s, struct rd_work *work)
{
	struct rd_lane *lane = lane_of(s);

	back(lane);
	lane->left = true;
	rd_source_drop(s, work);
	rd_lane_reset(lane);
}

static bool has_failed(const struct rd_work *work)
{
	return work->verdict.outcome != RD_OUTCOME_DONE &&
	       work->verdict.outcome != RD_OUTCOME_DEAD;
}

static void finished(struct rd_source *s, struct rd_work *work)
{
	struct rd_lane *lane = lane_of(s);

	back(lane);
	if (!has_failed(work) || !s->in_order)
		return;
	lane->failed = true;
	rd_lane_reset(lane);
}

static void settled(struct rd_source *s, struct rd_work *work)
{
	struct rd_lane *lane = lane_of(s);

	rd_lane_look_soon(lane);
	if (!has_failed(work))
		return;
	if (!s->in_order) {
		rd_later_look(s); /* it tells when the next is due */
		return;
	}
	lane->failed = false;
	if (work->order.verb == RD_VERB_RETRY && !lane->closing)
		rd_lane_wait(lane, work->order.delay_ms);
}

/* Those behind it may run already; what they ask for is not lost, for they are
 * pending, and run again. */
static void refused(struct rd_source *s, struct rd_work *work)
{
	struct rd_lane *lane = lane_of(s);

	(void)work;
	if (!s->in_order)
		return;
	lane->failed = true;
	lane->gate.shut = true;
	rd_intake_shut(s->self->intake);
	rd_lane_reset(lane);
}

static void due(struct rd_source *s)
{
	rd_lane_look_soon(lane_of(s));
}

/* It may be that only the group is gone: the claim will tell. */
static void fenced(struct rd_source *s)
{
	rd_lane_reset(lane_of(s));
}

static const struct rd_source_ops source_ops = {
    .taken = taken,
    .skipped = skipped,
    .finished = finished,
    .refused = refused,
    .settled = settled,
    .due = due,
    .fenced = fenced,
};

static void give(struct rd_lane *lane)
{
	struct rd_self *self = lane->source.self;

	while (!rd_list_empty(&lane->queue) && !lane->failed) {
		struct rd_work *work =
		    rd_list_item(lane->queue.next, struct rd_work, link);
		bool alone = rd_intake_suspects(work);

		if (lane->out > 0 && (alone || lane->solo || lane->gate.shut ||
				      !self->runner->queues))
			return;
		if (lane->out == 0)
			lane->gate.shut = false;
		lane->solo = alone;
		lane->out++;
		rd_list_remove(&work->link);
		rd_intake_give(self->intake, work);
	}
}

/* --- its life ------------------------------------------------------------- */

static bool has_reply_to_come(const struct rd_lane *lane)
{
	const struct rd_source *s = &lane->source;

	return lane->calling || lane->reading || lane->peeking || s->taking ||
	       s->flying;
}

static bool may_claim(const struct rd_lane *lane)
{
	const struct rd_self *self = lane->source.self;

	return lane->claiming && !lane->absent && !lane->reading &&
	       !rd_lane_is_stopped(lane) && lane->out == 0 &&
	       rd_source_idle(&lane->source) && self->open && !self->quiet &&
	       lane->ops->may_read(lane->arg, lane);
}

/* Ends it, where nothing is under way any more. */
static void close_look(struct rd_lane *lane)
{
	if (lane->out > 0 || has_reply_to_come(lane) ||
	    (lane->source.hand.count > 0 && !lane->given_up))
		return;
	if (lane->left)
		rd_lane_leave(lane);
	lane->ops->closed(lane->arg, lane);
}

static void look(void *arg)
{
	struct rd_lane *lane = arg;
	struct rd_source *s = &lane->source;

	if (lane->closing) {
		close_look(lane);
		return;
	}
	give(lane);
	if (may_claim(lane))
		rd_lane_claim(lane);
	if (lane->full && s->hand.count <= (size_t)s->self->cfg->batch / 2) {
		lane->full = false;
		rd_lane_read(lane);
	}
	if (s->due && !lane->reading && lane->ops->may_read(lane->arg, lane))
		rd_later_more(s,
			      rd_lane_room(lane, (size_t)s->self->cfg->batch));
	if (lane->put_off && !s->taking && !s->due) {
		lane->put_off = false;
		rd_lane_read(lane);
	}
}

void rd_lane_read(struct rd_lane *lane)
{
	if (lane->doorbell != NULL)
		rd_bell_ring(lane->doorbell, &lane->bell);
}

struct rd_lane *rd_lane_open(struct rd_self *self, struct rd_slice name,
			     uint64_t token, struct rd_doorbell *doorbell,
			     const struct rd_lane_ops *ops, void *arg)
{
	static const struct rd_bell_ops bell_ops = {rd_lane_bell_read};
	struct rd_lane *lane = rd_new(struct rd_lane);
	struct rd_source *s = &lane->source;

	rd_source_init(s, self, &source_ops, name);
	s->strict = true;
	s->in_order = !strcmp(self->cfg->retry, "wait");
	lane->token = token;
	lane->ops = ops;
	lane->arg = arg;
	lane->doorbell = doorbell;
	lane->claiming = true;
	lane->want = RD_LANE_WANT;
	rd_list_init(&lane->hungry);
	rd_list_init(&lane->queue);
	rd_list_init(&lane->leaving);
	rd_timer_init(&lane->retry, self->loop, wait_over, lane);
	rd_task_init(&lane->look, look, lane);
	rd_bell_add(doorbell, &lane->bell, rd_buf_slice(&s->key), &bell_ops,
		    lane, &lane->cursor);
	return lane;
}

void rd_lane_free(struct rd_lane **lane_ptr)
{
	struct rd_lane *lane = *lane_ptr;

	*lane_ptr = NULL;
	if (lane == NULL)
		return;
	if (lane->doorbell != NULL)
		rd_bell_remove(lane->doorbell, &lane->bell);
	rd_list_remove(&lane->hungry);
	rd_list_remove(&lane->leaving);
	rd_timer_stop(&lane->retry);
	rd_task_cancel(&lane->look);
	rd_source_fini(&lane->source);
	rd_buf_fini(&lane->after);
	if (!lane->source.hung)
		free(lane);
}

void rd_lane_close(struct rd_lane *lane)
{
	if (lane->closing)
		return;
	lane->closing = true;
	lane->closing_ms = rd_clock_ms();
	lane->gate.shut = true;
	rd_intake_shut(lane->source.self->intake);
	rd_bell_remove(lane->doorbell, &lane->bell);
	lane->doorbell = NULL;
	rd_list_remove(&lane->hungry);
	rd_timer_stop(&lane->retry);
	drop_queue(lane);
	rd_lane_look_soon(lane);
}

void rd_lane_give_up(struct rd_lane *lane)
{
	lane->given_up = true;
	rd_lane_look_soon(lane);
}

bool rd_lane_is_behind(const struct rd_lane *lane)
{
	return lane->source.hand.count > 0 || lane->full ||
	       (lane->claiming && !lane->absent) ||
	       !rd_list_empty(&lane->hungry);
}

void rd_lane_up(struct rd_lane *lane)
{
	rd_commit_up(&lane->source);
	if (lane->closing)
		rd_lane_look_soon(lane);
	else
		rd_lane_reset(lane);
}
