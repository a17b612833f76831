/* SPDX-License-Identifier: MIT */
/*
 * thread.c -- run a handler of this program on a thread of its own, or on
 * several, where it says that it may be called so.
 *
 * What the loop gives in one turn crosses over at the end of that turn; what
 * the threads have done comes back when their bell rings (hands.c).  What a
 * fast message leaves unrung while the next one takes long, the loop finds by
 * looking.
 *
 * The loop never waits for the handler, so heartbeats and commits go on however
 * long it takes.  A thread cannot be stopped from outside: where a handler
 * exceeds its time, the owner is told, and ends the process when the others
 * have done what they have.
 */
#include "src/clock.h"
#include "src/config.h"
#include "src/loop.h"
#include "src/mem.h"
#include "workers/hands.h"
#include "workers/runner.h"
#include "workers/scene.h"

#include <stdlib.h>
#include <unistd.h>

#define CLOSE_MS 200 /* a handler that is about to return may do so */
#define LOOK_MS  2   /* the loop looks for what was not rung for */

struct thread {
	struct rd_runner runner; /* first */
	struct rd_loop *loop;    /* borrowed */
	uint64_t timeout_us;
	const struct rd_runner_ops *ops; /* borrowed */
	void *arg;
	const struct rd_handler *handler; /* borrowed */
	void *state;                      /* the handler's */
	struct rd_hands *hands;           /* owned; runner.places threads */
	size_t working;                   /* of them, those not stuck */
	struct rd_list fresh;             /* given in this turn */
	struct rd_task cross;             /* takes them over */
	size_t given;                     /* works that are not back yet */
	struct rd_watch watch;            /* on the bell */
	struct rd_timer look;             /* while any are given */
	uint64_t look_ms;                 /* after which it fires next */
};

static void collect(struct thread *t)
{
	struct rd_list done, *link;

	rd_list_init(&done);
	rd_hands_collect(t->hands, &done);
	while ((link = rd_list_shift(&done)) != NULL) {
		t->given--;
		t->ops->done(t->arg, rd_list_item(link, struct rd_work, link));
	}
}

/* Looks soon, then less and less often. */
static void look_later(struct thread *t, uint64_t ms)
{
	uint64_t most = t->timeout_us / 4000 + 1;

	t->look_ms = ms < most ? ms : most;
	if (t->given > 0)
		rd_timer_start(&t->look, t->look_ms);
	else
		rd_timer_stop(&t->look);
}

static void bell_rang(void *arg, short what)
{
	struct thread *t = arg;
	uint64_t count;

	(void)what;
	if (read(rd_hands_bell(t->hands), &count, sizeof(count)) !=
	    (ssize_t)sizeof(count))
		return;
	collect(t);
	look_later(t, LOOK_MS);
}

static void look(void *arg)
{
	struct thread *t = arg;
	const struct rd_work *const *works;
	size_t count;

	collect(t);
	for (size_t i = 0; i < t->runner.places; i++)
		if (rd_hands_is_stuck(t->hands, i, t->timeout_us, &works,
				      &count))
			t->ops->stuck(t->arg, works, count, --t->working);
	look_later(t, t->look_ms * 2);
}

static void cross_over(void *arg)
{
	struct thread *t = arg;

	rd_hands_put(t->hands, &t->fresh);
}

static void thread_give(struct rd_runner *runner, struct rd_work *work)
{
	struct thread *t = (struct thread *)(void *)runner;

	if (t->given++ == 0)
		look_later(t, LOOK_MS);
	rd_list_push(&t->fresh, &work->link);
	rd_task_defer(&t->cross, t->loop);
}

static size_t thread_running(struct rd_runner *runner)
{
	return rd_hands_running(((struct thread *)(void *)runner)->hands);
}

static void thread_close(struct rd_runner *runner)
{
	struct thread *t = (struct thread *)(void *)runner;

	rd_timer_stop(&t->look);
	rd_watch_stop(&t->watch);
	rd_task_cancel(&t->cross);
	if (!rd_hands_stop(t->hands, CLOSE_MS))
		return;
	if (t->handler->close != NULL)
		t->handler->close(t->state);
	rd_hands_free(&t->hands);
	free(t);
}

static int open_handler(const struct rd_handler *handler, const char *args,
			void **state_out, struct rd_buf *why)
{
	char sentence[256] = "";

	*state_out = NULL;
	if (handler->open == NULL ||
	    handler->open(args, state_out, sentence, sizeof(sentence)) == RD_OK)
		return RD_OK;
	rd_buf_addf(why, "handler %s does not start: %s",
		    handler->name == NULL ? "without a name" : handler->name,
		    sentence);
	return RD_ECONFIG;
}

static struct thread *thread_new(struct rd_loop *loop,
				 const struct rd_config *cfg,
				 const struct rd_handler *handler, void *state)
{
	struct thread *t = rd_new(struct thread);
	size_t places =
	    rd_scene_is_concurrent(handler) ? (size_t)cfg->concurrency : 1;

	t->runner = (struct rd_runner){.places = places,
				       .queues = true,
				       .give = thread_give,
				       .running = thread_running,
				       .close = thread_close};
	t->loop = loop;
	t->timeout_us = (uint64_t)cfg->handler_timeout_ms * 1000;
	t->handler = handler;
	t->state = state;
	t->working = places;
	rd_list_init(&t->fresh);
	rd_task_init(&t->cross, cross_over, t);
	rd_timer_init(&t->look, loop, look, t);
	t->hands = rd_hands_new(handler, state, places, (size_t)cfg->batch);
	rd_watch_init(&t->watch, loop, rd_hands_bell(t->hands), bell_rang, t);
	rd_watch_set(&t->watch, EV_READ);
	return t;
}

int rd_thread_open(struct rd_loop *loop, const struct rd_config *cfg,
		   const struct rd_handler *handler, const char *args,
		   const struct rd_runner_ops *ops, void *arg,
		   struct rd_runner **runner_out, struct rd_buf *why)
{
	struct thread *t;
	void *state;

	if (open_handler(handler, args, &state, why) != RD_OK)
		return RD_ECONFIG;
	t = thread_new(loop, cfg, handler, state);
	t->ops = ops;
	t->arg = arg;
	*runner_out = &t->runner;
	return RD_OK;
}
