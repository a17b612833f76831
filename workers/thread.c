/* SPDX-License-Identifier: MIT */
/*
 * thread.c -- run a handler of this program on a thread of its own.
 *
 * Works cross over in two queues under one mutex.  What the loop gives in one
 * turn crosses at the end of that turn; the way back rings an eventfd that the
 * loop watches, when the thread has nothing more to do, or HURRY_US after it
 * rang last: so a fast handler costs a wake-up for many messages, and a slow
 * one keeps none of them back.  What a fast message leaves unrung while the
 * next one takes long, the loop finds by looking.
 *
 * The loop never waits for the handler, so heartbeats and commits go on however
 * long it takes.  A thread cannot be stopped from outside: where a handler
 * exceeds its time, the owner is told, and ends the process.
 *
 * Not here: what is called, and what it may ask for (scene.c).
 */
#include "src/clock.h"
#include "src/config.h"
#include "src/loop.h"
#include "src/mem.h"
#include "workers/runner.h"
#include "workers/scene.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define CLOSE_MS 200 /* a handler that is about to return may do so */
#define HURRY_US 500 /* between two bells of a busy thread */
#define LOOK_MS  2   /* the loop looks for what was not rung for */

struct thread {
	struct rd_runner runner; /* first */
	struct rd_loop *loop;    /* borrowed */
	uint64_t timeout_us;
	const struct rd_runner_ops *ops; /* borrowed */
	void *arg;
	pthread_t id;
	pthread_mutex_t mutex;
	pthread_cond_t ready; /* todo or stop has changed */
	int bell;             /* eventfd: look at done */

	/* Under the mutex. */
	struct rd_list todo;      /* works to run, in order */
	struct rd_list done;      /* works for the loop */
	struct rd_work **running; /* owned; running_count of them */
	size_t running_count, running_cap;
	uint64_t since_us; /* when they were started */
	uint64_t bell_us;  /* when the bell was rung last */
	bool rung;         /* it was, and the loop has not looked yet */
	bool idle;         /* the thread waits for ready */
	bool stop;         /* the thread ends */
	bool stuck;        /* what runs never comes back */

	/* The loop's. */
	struct rd_list fresh;  /* given in this turn */
	struct rd_task cross;  /* takes them over */
	size_t given;          /* works that are not back yet */
	struct rd_watch watch; /* on bell */
	struct rd_timer look;  /* while any are given */
	uint64_t look_ms;      /* after which it fires next */

	/* The thread's. */
	struct rd_scene scene;
};

/* Moves all of one list to the end of another. */
static void append(struct rd_list *to, struct rd_list *from)
{
	if (rd_list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	rd_list_init(from);
}

/* The thread's side; the mutex is held but where it says otherwise. */

/* Lets go of the mutex meanwhile: whoever is woken by it wants it.  False:
 * there is nothing to ring for. */
static bool ring(struct thread *t)
{
	const uint64_t one = 1;

	if (t->rung || rd_list_empty(&t->done))
		return false;
	t->rung = true;
	pthread_mutex_unlock(&t->mutex);
	/* It cannot fail: the counter is emptied long before it is full. */
	if (write(t->bell, &one, sizeof(one)) != (ssize_t)sizeof(one))
		abort();
	pthread_mutex_lock(&t->mutex);
	return true;
}

/* The next work whose gate is open, or NULL; those before it go back. */
static struct rd_work *open_work(struct thread *t)
{
	while (!rd_list_empty(&t->todo)) {
		struct rd_work *work =
		    rd_list_item(t->todo.next, struct rd_work, link);

		if (work->gate == NULL || !work->gate->shut)
			return work;
		work->skipped = true;
		rd_list_remove(&work->link);
		rd_list_push(&t->done, &work->link);
	}
	return NULL;
}

/* Takes what will run next: one work, or a batch.  0: nothing. */
static size_t take(struct thread *t)
{
	struct rd_work *work = open_work(t);
	size_t n = 0;
	bool more = work != NULL;

	while (more) {
		more = rd_scene_batches(&t->scene, work) && !work->alone;
		rd_list_remove(&work->link);
		t->running[n++] = work;
		if (!more || n == t->running_cap)
			break;
		work = open_work(t);
		more = work != NULL && !work->alone &&
		       rd_scene_batches(&t->scene, work);
	}
	t->running_count = n;
	return n;
}

/* Waits until there is something to run; false: the end. */
static bool next(struct thread *t)
{
	bool waited = false;

	while (!t->stop && take(t) == 0) {
		waited = true;
		if (ring(t))
			continue; /* there may be more by now */
		t->idle = true;
		pthread_cond_wait(&t->ready, &t->mutex);
		t->idle = false;
	}
	if (t->stop)
		return false;
	if (waited || t->since_us == 0)
		t->since_us = rd_clock_us();
	if (t->since_us - t->bell_us > HURRY_US) {
		t->bell_us = t->since_us;
		(void)ring(t);
	}
	return true;
}

/* What has run goes back.  The first of a gate that is not done shuts it, and
 * those behind it count as not run. */
static void give_back(struct thread *t)
{
	uint64_t now = rd_clock_us();
	uint64_t spent = (now - t->since_us) / t->running_count;

	for (size_t i = 0; i < t->running_count; i++) {
		struct rd_work *work = t->running[i];

		work->spent_us = spent;
		work->done_us = now;
		if (work->gate != NULL && work->gate->shut) {
			rd_verdict_clear(&work->verdict);
			work->skipped = true;
		} else if (work->gate != NULL &&
			   work->verdict.outcome != RD_OUTCOME_DONE) {
			work->gate->shut = true;
		}
		rd_list_push(&t->done, &work->link);
	}
	t->running_count = 0;
	t->since_us = now;
}

static void *thread_run(void *arg)
{
	struct thread *t = arg;

	pthread_mutex_lock(&t->mutex);
	while (next(t)) {
		pthread_mutex_unlock(&t->mutex);
		rd_scene_run(&t->scene, t->running, t->running_count);
		pthread_mutex_lock(&t->mutex);
		if (t->stuck)
			break;
		give_back(t);
	}
	pthread_mutex_unlock(&t->mutex);
	return NULL;
}

/* The loop's side. */

/* What the thread has finished. */
static void collect(struct thread *t)
{
	struct rd_list done, *link;

	rd_list_init(&done);
	pthread_mutex_lock(&t->mutex);
	append(&done, &t->done);
	t->rung = false;
	pthread_mutex_unlock(&t->mutex);
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
	if (read(t->bell, &count, sizeof(count)) != (ssize_t)sizeof(count))
		return;
	collect(t);
	look_later(t, LOOK_MS);
}

/* What runs has taken too long, for the first time. */
static bool is_stuck(struct thread *t)
{
	bool stuck;

	pthread_mutex_lock(&t->mutex);
	stuck = !t->stuck && t->running_count > 0 &&
		rd_clock_us() - t->since_us > t->timeout_us;
	t->stuck = t->stuck || stuck;
	pthread_mutex_unlock(&t->mutex);
	return stuck;
}

static void look(void *arg)
{
	struct thread *t = arg;

	collect(t);
	/* From now on the thread leaves what runs alone. */
	if (is_stuck(t))
		t->ops->stuck(t->arg, (const struct rd_work *const *)t->running,
			      t->running_count);
	look_later(t, t->look_ms * 2);
}

static void cross_over(void *arg)
{
	struct thread *t = arg;
	bool idle;

	pthread_mutex_lock(&t->mutex);
	append(&t->todo, &t->fresh);
	idle = t->idle;
	pthread_mutex_unlock(&t->mutex);
	/* Behind the mutex, which is the first thing that it wants. */
	if (idle)
		pthread_cond_signal(&t->ready);
}

static void thread_give(struct rd_runner *runner, struct rd_work *work)
{
	struct thread *t = (struct thread *)(void *)runner;

	if (t->given++ == 0)
		look_later(t, LOOK_MS);
	rd_list_push(&t->fresh, &work->link);
	rd_task_defer(&t->cross, t->loop);
}

static void unwatch(struct thread *t)
{
	rd_timer_stop(&t->look);
	rd_watch_stop(&t->watch);
	rd_task_cancel(&t->cross);
}

static void thread_free(struct thread *t)
{
	unwatch(t);
	close(t->bell);
	pthread_cond_destroy(&t->ready);
	pthread_mutex_destroy(&t->mutex);
	free(t->running);
	free(t);
}

static void thread_close(struct rd_runner *runner)
{
	struct thread *t = (struct thread *)(void *)runner;
	struct timespec until;

	pthread_mutex_lock(&t->mutex);
	t->stop = true;
	pthread_cond_signal(&t->ready);
	pthread_mutex_unlock(&t->mutex);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += CLOSE_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	if (pthread_timedjoin_np(t->id, NULL, &until) != 0) {
		/* Still in the handler: it ends with the process, and what
		 * it uses stays until then. */
		unwatch(t);
		pthread_detach(t->id);
		return;
	}
	if (t->scene.handler->close != NULL)
		t->scene.handler->close(t->scene.state);
	rd_scene_fini(&t->scene);
	thread_free(t);
}

/* Signals are for the loop's thread. */
static int start(struct thread *t)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&t->id, NULL, thread_run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err == 0 ? RD_OK : RD_EIO;
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
				 const struct rd_config *cfg)
{
	struct thread *t = rd_new(struct thread);

	t->runner = (struct rd_runner){
	    .serial = true, .give = thread_give, .close = thread_close};
	t->loop = loop;
	t->timeout_us = (uint64_t)cfg->handler_timeout_ms * 1000;
	t->running_cap = (size_t)cfg->batch;
	t->running = rd_new_array(struct rd_work *, t->running_cap);
	rd_list_init(&t->todo);
	rd_list_init(&t->done);
	rd_list_init(&t->fresh);
	pthread_mutex_init(&t->mutex, NULL);
	pthread_cond_init(&t->ready, NULL);
	rd_task_init(&t->cross, cross_over, t);
	rd_timer_init(&t->look, loop, look, t);
	t->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->bell < 0)
		abort(); /* no descriptor left before the start */
	rd_watch_init(&t->watch, loop, t->bell, bell_rang, t);
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
	t = thread_new(loop, cfg);
	t->ops = ops;
	t->arg = arg;
	rd_scene_init(&t->scene, handler, state, t->running_cap);
	if (start(t) != RD_OK)
		abort();
	*runner_out = &t->runner;
	return RD_OK;
}
