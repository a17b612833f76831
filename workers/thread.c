/* SPDX-License-Identifier: MIT */
/*
 * thread.c -- run a handler of this program on a thread of its own.
 *
 * Works cross over in two queues under one mutex; the way back rings an
 * eventfd that the loop watches.  The loop never waits for the handler, so
 * heartbeats and commits go on however long it takes.  A thread cannot be
 * stopped from outside: where a handler exceeds its time, the owner is told,
 * and ends the process.
 *
 * The handler's verbs work on the verdict of the running work, which belongs
 * to the thread alone until the work crosses back.
 */
#include "src/clock.h"
#include "src/json.h"
#include "src/log.h"
#include "src/loop.h"
#include "src/mem.h"
#include "src/pack.h"
#include "workers/runner.h"
#include "workers/source.h"

#include <redistribute/handler.h>

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define CLOSE_MS 200 /* a handler that is about to return may do so */

/* A text that lives until message() returns. */
struct kept {
	struct kept *next;
	struct rd_buf text;
};

/* The running message, as the handler's verbs see it. */
struct scene {
	struct rd_context context; /* first: what the handler is given */
	struct rd_work *work;
	bool cut;                  /* members holds its payload */
	int cut_err;               /* how that went */
	struct rd_members members; /* used again and again */
	struct kept *kept;
};

struct thread {
	struct rd_runner runner;          /* first */
	struct rd_loop *loop;             /* borrowed */
	const struct rd_handler *handler; /* borrowed for ever */
	void *state;                      /* the handler's */
	uint64_t timeout_us;
	const struct rd_runner_ops *ops; /* borrowed */
	void *arg;
	pthread_t id;
	pthread_mutex_t mutex;
	pthread_cond_t ready;    /* todo or stop has changed */
	struct rd_list todo;     /* under the mutex */
	struct rd_list done;     /* under the mutex */
	struct rd_work *running; /* under the mutex */
	bool stop;               /* under the mutex */
	size_t given;            /* works that are not back yet */
	int bell;                /* eventfd: done is no longer empty */
	struct rd_watch watch;   /* on bell */
	struct rd_timer overdue; /* looks at the running work */
	bool told;               /* ops.stuck was called */
	struct scene scene;      /* the thread's */
};

static struct scene *scene_of(struct rd_context *ctx)
{
	return (struct scene *)(void *)ctx;
}

static int verb_emit(struct rd_context *ctx, struct rd_slice channel,
		     struct rd_slice type, enum rd_encoding encoding,
		     struct rd_slice payload)
{
	return rd_verdict_emit(&scene_of(ctx)->work->verdict, channel, type,
			       encoding, payload);
}

static int verb_tally(struct rd_context *ctx, struct rd_slice to_channel,
		      struct rd_slice field, struct rd_slice value)
{
	return rd_verdict_tally(&scene_of(ctx)->work->verdict, to_channel,
				field, value);
}

static void verb_retry(struct rd_context *ctx, uint64_t delay_ms)
{
	rd_verdict_retry(&scene_of(ctx)->work->verdict, delay_ms);
}

static void verb_dead(struct rd_context *ctx, const char *reason)
{
	rd_verdict_dead(&scene_of(ctx)->work->verdict, rd_slice_str(reason));
}

static void verb_log(struct rd_context *ctx, const char *text)
{
	const struct rd_work *work = scene_of(ctx)->work;
	char id[RD_ID_TEXT];

	rd_log(RD_LOG_INFO, "handler.log", "channel=%.*s id=%s text=%s",
	       RD_SLICE_ARG(work->source->name),
	       rd_id_text(work->message.id, id), text);
}

static int cut_payload(struct scene *s)
{
	const struct rd_message *m = &s->work->message;

	if (!s->cut && m->encoding == RD_ENC_JSON)
		s->cut_err = rd_json_members(m->payload, &s->members);
	else if (!s->cut && m->encoding == RD_ENC_MSGPACK)
		s->cut_err = rd_pack_members(m->payload, &s->members);
	else if (!s->cut)
		s->cut_err = RD_EFORMAT;
	s->cut = true;
	return s->cut_err;
}

static struct rd_slice keep_json(struct scene *s, struct rd_slice pack)
{
	struct kept *k = rd_new(struct kept);

	k->next = s->kept;
	s->kept = k;
	/* What JSON cannot say is shown as its bytes. */
	if (rd_pack_to_json(pack, &k->text) != RD_OK)
		rd_buf_addbase64(&k->text, pack);
	return rd_buf_slice(&k->text);
}

static int field_text(const struct rd_message *m, const char *name,
		      struct rd_slice *value_out)
{
	for (size_t i = m->field_count; i >= 2; i -= 2)
		if (rd_slice_is(m->fields[i - 2], name)) {
			*value_out = m->fields[i - 1];
			return RD_OK;
		}
	return RD_ENOTFOUND;
}

static int verb_member(struct rd_context *ctx, const char *name,
		       struct rd_slice *value_out)
{
	struct scene *s = scene_of(ctx);
	const struct rd_message *m = &s->work->message;
	const struct rd_member *member;

	if (m->encoding == RD_ENC_FIELDS)
		return field_text(m, name, value_out);
	if (cut_payload(s) != RD_OK)
		return RD_EFORMAT;
	member = rd_members_get(&s->members, name);
	if (member == NULL)
		return RD_ENOTFOUND;
	if (member->kind == RD_KIND_STRING || member->kind == RD_KIND_BYTES)
		*value_out = member->text;
	else if (m->encoding == RD_ENC_JSON)
		*value_out = member->raw;
	else
		*value_out = keep_json(s, member->raw);
	return RD_OK;
}

static const struct rd_verbs verbs = {
    .size = sizeof(verbs),
    .emit = verb_emit,
    .tally = verb_tally,
    .retry = verb_retry,
    .dead = verb_dead,
    .log = verb_log,
    .member = verb_member,
};

static void scene_clear(struct scene *s)
{
	struct kept *next;

	for (; s->kept != NULL; s->kept = next) {
		next = s->kept->next;
		rd_buf_fini(&s->kept->text);
		free(s->kept);
	}
	s->cut = false;
}

/* On the thread: one message. */
static void perform(struct thread *t, struct rd_work *work)
{
	struct rd_delivery delivery = {
	    .size = sizeof(delivery),
	    .attempt = work->failed + 1,
	    .deliveries = work->deliveries,
	    .channel = work->source->name,
	    .message = &work->message,
	};
	uint64_t start = rd_clock_us();
	int err;

	t->scene.work = work;
	err = t->handler->message(t->state, &t->scene.context, &delivery);
	scene_clear(&t->scene);
	if (err != RD_OK && work->verdict.outcome == RD_OUTCOME_DONE)
		rd_verdict_fail(&work->verdict, rd_slice_str(rd_strerror(err)));
	work->spent_us = rd_clock_us() - start;
}

static void ring(const struct thread *t)
{
	const uint64_t one = 1;

	/* It cannot fail: the counter is emptied long before it is full. */
	if (write(t->bell, &one, sizeof(one)) != (ssize_t)sizeof(one))
		abort();
}

static void *thread_run(void *arg)
{
	struct thread *t = arg;

	pthread_mutex_lock(&t->mutex);
	while (!t->stop) {
		struct rd_list *link = rd_list_shift(&t->todo);

		if (link == NULL) {
			pthread_cond_wait(&t->ready, &t->mutex);
			continue;
		}
		t->running = rd_list_item(link, struct rd_work, link);
		t->running->start_us = rd_clock_us();
		pthread_mutex_unlock(&t->mutex);
		perform(t, t->running);
		pthread_mutex_lock(&t->mutex);
		if (rd_list_empty(&t->done))
			ring(t);
		rd_list_push(&t->done, &t->running->link);
		t->running = NULL;
	}
	pthread_mutex_unlock(&t->mutex);
	return NULL;
}

/* In the loop: what the thread has finished. */
static void bell_rang(void *arg, short what)
{
	struct thread *t = arg;
	struct rd_list done, *link;
	uint64_t count;

	(void)what;
	if (read(t->bell, &count, sizeof(count)) != (ssize_t)sizeof(count))
		return;
	rd_list_init(&done);
	pthread_mutex_lock(&t->mutex);
	while ((link = rd_list_shift(&t->done)) != NULL)
		rd_list_push(&done, link);
	pthread_mutex_unlock(&t->mutex);
	while ((link = rd_list_shift(&done)) != NULL) {
		t->given--;
		t->ops->done(t->arg, rd_list_item(link, struct rd_work, link));
	}
	if (t->given == 0)
		rd_timer_stop(&t->overdue);
}

static void look_overdue(void *arg)
{
	struct thread *t = arg;
	const struct rd_work *stuck = NULL;

	pthread_mutex_lock(&t->mutex);
	if (t->running != NULL &&
	    rd_clock_us() - t->running->start_us > t->timeout_us)
		stuck = t->running;
	pthread_mutex_unlock(&t->mutex);
	if (stuck != NULL && !t->told) {
		t->told = true;
		t->ops->stuck(t->arg, stuck);
	}
	rd_timer_start(&t->overdue, t->timeout_us / 4000 + 1);
}

static void thread_give(struct rd_runner *runner, struct rd_work *work)
{
	struct thread *t = (struct thread *)(void *)runner;

	if (t->given++ == 0)
		rd_timer_start(&t->overdue, t->timeout_us / 1000 + 1);
	pthread_mutex_lock(&t->mutex);
	rd_list_push(&t->todo, &work->link);
	pthread_cond_signal(&t->ready);
	pthread_mutex_unlock(&t->mutex);
}

static void thread_free(struct thread *t)
{
	rd_timer_stop(&t->overdue);
	rd_watch_stop(&t->watch);
	close(t->bell);
	pthread_cond_destroy(&t->ready);
	pthread_mutex_destroy(&t->mutex);
	rd_members_fini(&t->scene.members);
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
		rd_timer_stop(&t->overdue);
		rd_watch_stop(&t->watch);
		pthread_detach(t->id);
		return;
	}
	if (t->handler->close != NULL)
		t->handler->close(t->state);
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

static int open_handler(struct thread *t, const char *args, struct rd_buf *why)
{
	char sentence[256] = "";

	if (t->handler->abi != RD_HANDLER_ABI ||
	    t->handler->size < sizeof(struct rd_handler)) {
		rd_buf_addf(why, "handler %s speaks ABI %u, not %u",
			    t->handler->name, t->handler->abi, RD_HANDLER_ABI);
		return RD_ECONFIG;
	}
	if (t->handler->open == NULL ||
	    t->handler->open(args, &t->state, sentence, sizeof(sentence)) ==
		RD_OK)
		return RD_OK;
	rd_buf_addf(why, "handler %s does not start: %s", t->handler->name,
		    sentence);
	return RD_ECONFIG;
}

int rd_thread_open(struct rd_loop *loop, const struct rd_handler *handler,
		   const char *args, uint64_t timeout_ms,
		   const struct rd_runner_ops *ops, void *arg,
		   struct rd_runner **runner_out, struct rd_buf *why)
{
	struct thread *t = rd_new(struct thread);

	t->runner = (struct rd_runner){thread_give, thread_close};
	t->loop = loop;
	t->handler = handler;
	t->timeout_us = timeout_ms * 1000;
	t->ops = ops;
	t->arg = arg;
	t->scene.context.verbs = &verbs;
	rd_list_init(&t->todo);
	rd_list_init(&t->done);
	pthread_mutex_init(&t->mutex, NULL);
	pthread_cond_init(&t->ready, NULL);
	rd_timer_init(&t->overdue, loop, look_overdue, t);
	t->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->bell < 0)
		abort(); /* no descriptor left before the start */
	rd_watch_init(&t->watch, loop, t->bell, bell_rang, t);
	rd_watch_set(&t->watch, EV_READ);
	if (open_handler(t, args, why) != RD_OK) {
		thread_free(t);
		return RD_ECONFIG;
	}
	if (start(t) != RD_OK)
		abort();
	*runner_out = &t->runner;
	return RD_OK;
}
