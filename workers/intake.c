/* SPDX-License-Identifier: MIT */
/*
 * intake.c -- who may go to the handler now, and who must be alone there; see
 * intake.h.
 *
 * Who is suspect is known from numbers that Redis keeps: an entry that was
 * delivered more often than a handler failed on it was in the hands of
 * somebody who ended.  Most such entries are innocent: they stood beside the
 * one that kills.  Only starts that were made alone count towards max-crashes,
 * so the innocent pass and the poison is found.
 *
 * Such a one waits until the handler has nothing else, and holds back what
 * comes behind it.  Where the handler has something that does not come back,
 * the others pass meanwhile, and it has its turn when that has ended.
 */
#include "workers/intake.h"
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/proc.h"
#include "src/script.h"
#include "workers/event.h"
#include "workers/runner.h"
#include "workers/source.h"

#include <stdio.h>
#include <stdlib.h>

#define AGAIN_MS    500  /* after Redis refused to note a start */
#define PATIENCE_MS 1000 /* others are held back so long at least */
#define PATIENCE    4    /* and so many times what a message usually takes */

struct rd_intake {
	struct rd_self *self;    /* borrowed */
	struct rd_list waiting;  /* works for the runner, in order */
	struct rd_list suspects; /* works that must run alone */
	struct rd_work *alone;   /* borrowed: its start is being noted, or it
				  * runs; NULL: none */
	bool noting;             /* the former */
	size_t out;              /* works that the runner has */
	bool shut;               /* gates may be shut of what waits */
	struct rd_timer held;    /* while suspects hold back the others */
	bool passing;            /* that took too long: others pass them */
	uint64_t round;          /* the number of times that it did */
	size_t old;              /* works that it was for, still out */
	struct rd_task run;
	struct rd_timer again;
};

bool rd_intake_suspects(const struct rd_work *work)
{
	return work->alone || work->starts > 0 ||
	       work->deliveries > (uint64_t)work->failed + 1;
}

static void wake(void *arg)
{
	struct rd_intake *in = arg;

	rd_task_defer(&in->run, in->self->loop);
}

static void give(struct rd_intake *in, struct rd_work *work)
{
	in->out++;
	work->round = in->round;
	rd_runner_give(in->self->runner, work);
}

/* The handler has one less to do. */
static void leave(struct rd_intake *in, const struct rd_work *work)
{
	struct rd_self *self = in->self;

	rd_pace_done(&self->pace,
		     work->done_us > 0 ? work->done_us : rd_clock_us(),
		     --self->unhandled);
	rd_self_wake(self);
}

static void give_back(struct rd_intake *in, struct rd_work *work)
{
	leave(in, work);
	work->skipped = true;
	work->source->ops->skipped(work->source, work);
}

/* It has ended too many: it is not run any more. */
static void condemn(struct rd_intake *in, struct rd_work *work)
{
	leave(in, work);
	rd_verdict_fail(&work->verdict,
			rd_slice_str("whoever ran it ended, each time"));
	work->verdict.outcome = RD_OUTCOME_CRASHED;
	rd_source_finished(work->source, work);
}

static int send_starts(struct rd_intake *in, const struct rd_work *work,
		       uint32_t starts, rd_reply_fn *fn, void *arg)
{
	struct rd_source *s = work->source;
	struct rd_buf tries = RD_BUF_INIT;
	char id[RD_ID_TEXT], number[24];
	int err;

	rd_source_key(s, "tries", &tries);
	snprintf(number, sizeof(number), "%u", starts);
	err = rd_script_call(
	    in->self->redis, RD_SCRIPT_START,
	    (struct rd_slice[]){rd_buf_slice(&s->key), rd_buf_slice(&tries)}, 2,
	    (struct rd_slice[]){in->self->team, rd_slice_str(in->self->name),
				rd_slice_str(rd_id_text(work->message.id, id)),
				rd_slice_str(number),
				s->strict ? rd_buf_slice(&s->fence)
					  : rd_slice_str("")},
	    5, fn, arg);
	rd_buf_fini(&tries);
	return err;
}

/* It was not run after all, so it has not ended anybody. */
static void take_back_start(struct rd_intake *in, const struct rd_work *work)
{
	if (send_starts(in, work, work->starts, NULL, NULL) != RD_OK) {
		/* Then it counts. */
	}
}

static bool has_room(const struct rd_intake *in)
{
	const struct rd_runner *r = in->self->runner;

	return r->queues || in->out < r->places;
}

static bool is_shut(const struct rd_work *work)
{
	return work->gate != NULL && work->gate->shut;
}

static void noted(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_intake *in = arg;
	struct rd_work *work = in->alone;

	in->noting = false;
	if (err != RD_OK) {
		in->alone = NULL;
		rd_list_insert(in->suspects.next, &work->link);
		if (err == RD_EREDIS) {
			rd_log(RD_LOG_ERROR, "intake.start", "error=%.*s",
			       RD_SLICE_ARG(reply->str));
			rd_timer_start(&in->again, AGAIN_MS);
		}
		return; /* else rd_intake_up() comes */
	}
	wake(in);
	if (rd_reply_int(reply, 0) == 1 && !is_shut(work)) {
		work->starts++;
		/* If it ends us, that was counted. */
		rd_proc_at_risk(in->self->proc, true);
		give(in, work);
		return;
	}
	in->alone = NULL;
	take_back_start(in, work);
	give_back(in, work);
}

static void note_start(struct rd_intake *in, struct rd_work *work)
{
	work->alone = true;
	if (work->starts >= in->self->policy.max_crashes) {
		condemn(in, work);
		wake(in);
		return;
	}
	in->noting =
	    send_starts(in, work, work->starts + 1, noted, in) == RD_OK;
	if (in->noting)
		in->alone = work;
	else
		rd_list_insert(in->suspects.next, &work->link);
}

/* The gateway that asked has given up: nobody wants the answer. */
static bool is_late(struct rd_work *work)
{
	struct rd_event_entry e;

	return rd_event_read(work->fields, work->field_count, &work->message,
			     &e) &&
	       rd_event_expire(&e, rd_clock_wall_ms(), &work->verdict);
}

static void finish_late(struct rd_intake *in, struct rd_work *work)
{
	leave(in, work);
	rd_source_finished(work->source, work);
}

static void held_too_long(void *arg)
{
	struct rd_intake *in = arg;

	if (in->out == 0 || in->self->runner->places == 1)
		return;
	rd_log(RD_LOG_WARN, "intake.held", "in_hand=%zu", in->out);
	in->passing = true;
	in->round++;
	in->old = in->out;
	wake(in);
}

/* Have suspects something to wait for?  True: so have the others. */
static bool hold_others(struct rd_intake *in)
{
	const struct rd_gauge *g = &in->self->gauge;
	uint64_t ms =
	    g->count > 0 ? PATIENCE * g->spent_us / g->count / 1000 : 0;

	if (in->out == 0) {
		rd_timer_stop(&in->held);
		if (in->self->open)
			note_start(in,
				   rd_list_item(rd_list_shift(&in->suspects),
						struct rd_work, link));
		return true;
	}
	if (!in->passing && !rd_timer_pending(&in->held))
		rd_timer_start(&in->held, ms > PATIENCE_MS ? ms : PATIENCE_MS);
	return !in->passing;
}

static void give_back_shut(struct rd_intake *in)
{
	struct rd_list *pos, *tmp;

	in->shut = false;
	rd_list_each_safe (pos, tmp, &in->waiting) {
		struct rd_work *work = rd_list_item(pos, struct rd_work, link);

		if (!is_shut(work))
			continue;
		rd_list_remove(pos);
		give_back(in, work);
	}
}

static void run(void *arg)
{
	struct rd_intake *in = arg;
	struct rd_list *link;

	if (in->shut)
		give_back_shut(in);
	if (in->alone != NULL || rd_timer_pending(&in->again))
		return;
	if (!rd_list_empty(&in->suspects) && hold_others(in))
		return;
	while (has_room(in) && (link = rd_list_shift(&in->waiting)) != NULL) {
		struct rd_work *work = rd_list_item(link, struct rd_work, link);

		if (is_shut(work))
			give_back(in, work);
		else if (work->has_deadline && is_late(work))
			finish_late(in, work);
		else
			give(in, work);
	}
}

void rd_intake_give(struct rd_intake *in, struct rd_work *work)
{
	if (in->self->unhandled++ == 0)
		rd_pace_busy(&in->self->pace, rd_clock_us());
	if (rd_intake_suspects(work)) {
		rd_list_push(&in->suspects, &work->link);
		wake(in);
	} else if (in->alone != NULL || !rd_list_empty(&in->suspects) ||
		   !rd_list_empty(&in->waiting) || work->has_deadline ||
		   !has_room(in)) {
		rd_list_push(&in->waiting, &work->link);
		wake(in);
	} else {
		give(in, work);
	}
}

void rd_intake_back(struct rd_intake *in, struct rd_work *work)
{
	in->out--;
	if (in->passing && work->round < in->round && --in->old == 0)
		in->passing = false;
	if (in->alone == work) {
		in->alone = NULL;
		rd_proc_at_risk(in->self->proc, false);
	}
	if (in->alone == NULL &&
	    (!rd_list_empty(&in->suspects) || !rd_list_empty(&in->waiting)))
		wake(in);
	if (work->skipped) {
		if (work->alone) {
			work->starts--;
			take_back_start(in, work);
		}
		give_back(in, work);
	} else if (work->verdict.outcome == RD_OUTCOME_CRASHED &&
		   !work->alone) {
		/* It was not the only one: again, and then alone. */
		rd_verdict_clear(&work->verdict);
		work->alone = true;
		rd_list_push(&in->suspects, &work->link);
		wake(in);
	} else {
		leave(in, work);
		rd_source_finished(work->source, work);
	}
}

void rd_intake_shut(struct rd_intake *in)
{
	if (rd_list_empty(&in->waiting))
		return;
	in->shut = true;
	wake(in);
}

void rd_intake_up(struct rd_intake *in)
{
	wake(in);
}

struct rd_intake *rd_intake_new(struct rd_self *self)
{
	struct rd_intake *in = rd_new(struct rd_intake);

	in->self = self;
	rd_list_init(&in->waiting);
	rd_list_init(&in->suspects);
	rd_task_init(&in->run, run, in);
	rd_timer_init(&in->again, self->loop, wake, in);
	rd_timer_init(&in->held, self->loop, held_too_long, in);
	return in;
}

void rd_intake_free(struct rd_intake **intake)
{
	struct rd_intake *in = *intake;

	if (in == NULL)
		return;
	rd_task_cancel(&in->run);
	rd_timer_stop(&in->again);
	rd_timer_stop(&in->held);
	free(in);
	*intake = NULL;
}
