/* SPDX-License-Identifier: MIT */
/*
 * hands.c -- call a C handler on one or several threads; see hands.h.
 *
 * Works cross over in two queues under one mutex.  The way back rings an
 * eventfd, when a thread has nothing more to do, or HURRY_US after one rang
 * last: so a fast handler costs a wake-up for many messages, and a slow one
 * keeps none of them back.
 *
 * All threads take from one queue, the first that they may: what stands behind
 * a gate that another thread holds stays there until that one is done.
 *
 * Not here: what is called, and what it may ask for (scene.c); time limits
 * (thread.c).
 */
#include "workers/hands.h"
#include "src/clock.h"
#include "src/mem.h"
#include "workers/scene.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define HURRY_US 500 /* between two bells of a busy thread */

/* One thread.  All but the scene is under the mutex. */
struct hand {
	struct rd_hands *hands; /* borrowed */
	pthread_t id;
	struct rd_scene scene;    /* the thread's own */
	struct rd_work **running; /* owned; running_count of them */
	size_t running_count;
	uint64_t since_us; /* when they were started */
	bool stuck;        /* what runs never comes back */
};

struct rd_hands {
	struct hand *hands; /* owned; count of them */
	size_t count;
	size_t most; /* works that one runs at once */
	pthread_mutex_t mutex;
	pthread_cond_t ready; /* todo or stop has changed */
	int bell;             /* eventfd: look at done */

	/* Under the mutex. */
	struct rd_list todo; /* works to run, in order */
	struct rd_list done; /* works for the loop */
	uint64_t bell_us;    /* when the bell was rung last */
	bool rung;           /* it was, and the loop has not looked yet */
	size_t idle;         /* threads that wait for ready */
	bool stop;           /* the threads end */
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
static bool ring(struct rd_hands *t)
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

/* Takes what will run next: one work, or a batch.  0: nothing.  What stands
 * behind a gate that is shut goes back. */
static size_t take(struct hand *h)
{
	struct rd_hands *t = h->hands;
	struct rd_list *pos, *tmp;
	size_t n = 0;

	rd_list_each_safe (pos, tmp, &t->todo) {
		struct rd_work *work = rd_list_item(pos, struct rd_work, link);
		struct rd_gate *gate = work->gate;
		bool more = rd_scene_batches(&h->scene, work) && !work->alone;

		if (gate != NULL && gate->shut) {
			work->skipped = true;
			rd_list_remove(pos);
			rd_list_push(&t->done, pos);
			continue;
		}
		if (gate != NULL && gate->holder != NULL && gate->holder != h)
			continue;
		if (n > 0 && !more)
			break;
		rd_list_remove(pos);
		if (gate != NULL)
			gate->holder = h;
		h->running[n++] = work;
		if (!more || n == t->most)
			break;
	}
	h->running_count = n;
	return n;
}

/* Waits until there is something to run; false: the end. */
static bool next(struct hand *h)
{
	struct rd_hands *t = h->hands;
	bool waited = false;

	while (!t->stop && take(h) == 0) {
		waited = true;
		if (ring(t))
			continue; /* there may be more by now */
		t->idle++;
		pthread_cond_wait(&t->ready, &t->mutex);
		t->idle--;
	}
	if (t->stop)
		return false;
	/* Perhaps for another one, too. */
	if (t->idle > 0 && !rd_list_empty(&t->todo))
		pthread_cond_signal(&t->ready);
	if (waited || h->since_us == 0)
		h->since_us = rd_clock_us();
	if (h->since_us - t->bell_us > HURRY_US) {
		t->bell_us = h->since_us;
		(void)ring(t);
	}
	return true;
}

/* What has run goes back.  The first of a gate that is not done shuts it, and
 * those behind it count as not run. */
static void give_back(struct hand *h)
{
	uint64_t now = rd_clock_us();
	uint64_t spent = (now - h->since_us) / h->running_count;

	for (size_t i = 0; i < h->running_count; i++) {
		struct rd_work *work = h->running[i];
		struct rd_gate *gate = work->gate;

		work->spent_us = spent;
		work->done_us = now;
		if (gate != NULL)
			gate->holder = NULL;
		if (gate != NULL && gate->shut) {
			rd_verdict_clear(&work->verdict);
			work->skipped = true;
		} else if (gate != NULL &&
			   work->verdict.outcome != RD_OUTCOME_DONE) {
			gate->shut = true;
		}
		rd_list_push(&h->hands->done, &work->link);
	}
	h->running_count = 0;
	h->since_us = now;
}

static void *hand_run(void *arg)
{
	struct hand *h = arg;
	struct rd_hands *t = h->hands;

	pthread_mutex_lock(&t->mutex);
	while (next(h)) {
		pthread_mutex_unlock(&t->mutex);
		rd_scene_run(&h->scene, h->running, h->running_count);
		pthread_mutex_lock(&t->mutex);
		if (h->stuck)
			break;
		give_back(h);
	}
	pthread_mutex_unlock(&t->mutex);
	return NULL;
}

/* The loop's side. */

int rd_hands_bell(const struct rd_hands *t)
{
	return t->bell;
}

void rd_hands_put(struct rd_hands *t, struct rd_list *fresh)
{
	bool idle;

	pthread_mutex_lock(&t->mutex);
	append(&t->todo, fresh);
	idle = t->idle > 0;
	pthread_mutex_unlock(&t->mutex);
	/* Behind the mutex, which is the first thing that it wants. */
	if (idle)
		pthread_cond_signal(&t->ready);
}

void rd_hands_collect(struct rd_hands *t, struct rd_list *done_out)
{
	pthread_mutex_lock(&t->mutex);
	append(done_out, &t->done);
	t->rung = false;
	pthread_mutex_unlock(&t->mutex);
}

size_t rd_hands_running(struct rd_hands *t)
{
	size_t n = 0;

	pthread_mutex_lock(&t->mutex);
	for (size_t i = 0; i < t->count; i++)
		n += t->hands[i].running_count;
	pthread_mutex_unlock(&t->mutex);
	return n;
}

/* From now on the thread leaves what runs alone, and the others give back what
 * stands behind it. */
bool rd_hands_is_stuck(struct rd_hands *t, size_t i, uint64_t timeout_us,
		       const struct rd_work *const **works_out,
		       size_t *count_out)
{
	struct hand *h = &t->hands[i];
	bool stuck;

	pthread_mutex_lock(&t->mutex);
	stuck = !h->stuck && h->running_count > 0 &&
		rd_clock_us() - h->since_us > timeout_us;
	for (size_t n = 0; stuck && n < h->running_count; n++)
		if (h->running[n]->gate != NULL)
			h->running[n]->gate->shut = true;
	h->stuck = h->stuck || stuck;
	pthread_mutex_unlock(&t->mutex);
	if (!stuck)
		return false;
	pthread_cond_broadcast(&t->ready);
	*works_out = (const struct rd_work *const *)h->running;
	*count_out = h->running_count;
	return true;
}

/* Signals are for the loop's thread. */
static void start(struct rd_hands *t, const struct rd_handler *handler,
		  void *state)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (size_t i = 0; i < t->count; i++) {
		struct hand *h = &t->hands[i];

		h->hands = t;
		h->running = rd_new_array(struct rd_work *, t->most);
		rd_scene_init(&h->scene, handler, state, t->most);
		if (pthread_create(&h->id, NULL, hand_run, h) != 0)
			abort(); /* nothing left before the start */
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

struct rd_hands *rd_hands_new(const struct rd_handler *handler, void *state,
			      size_t count, size_t most)
{
	struct rd_hands *t = rd_new(struct rd_hands);

	t->count = count;
	t->most = most;
	t->hands = rd_new_array(struct hand, count);
	rd_list_init(&t->todo);
	rd_list_init(&t->done);
	pthread_mutex_init(&t->mutex, NULL);
	pthread_cond_init(&t->ready, NULL);
	t->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->bell < 0)
		abort(); /* no descriptor left before the start */
	start(t, handler, state);
	return t;
}

bool rd_hands_stop(struct rd_hands *t, int wait_ms)
{
	struct timespec until;
	bool all = true;

	pthread_mutex_lock(&t->mutex);
	t->stop = true;
	pthread_cond_broadcast(&t->ready);
	pthread_mutex_unlock(&t->mutex);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += wait_ms * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	for (size_t i = 0; i < t->count; i++)
		if (pthread_timedjoin_np(t->hands[i].id, NULL, &until) != 0) {
			pthread_detach(t->hands[i].id);
			all = false;
		}
	return all;
}

void rd_hands_free(struct rd_hands **hands)
{
	struct rd_hands *t = *hands;

	*hands = NULL;
	if (t == NULL)
		return;
	close(t->bell);
	pthread_cond_destroy(&t->ready);
	pthread_mutex_destroy(&t->mutex);
	for (size_t i = 0; i < t->count; i++) {
		rd_scene_fini(&t->hands[i].scene);
		free(t->hands[i].running);
	}
	free(t->hands);
	free(t);
}
