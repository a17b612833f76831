/* SPDX-License-Identifier: MIT */
/*
 * loop.c -- libevent in the house's dress.
 *
 * The one thing that libevent does not offer is the end of a turn: the moment
 * when all that was ready has been handled and the loop is about to sleep.
 * Output is written there, once, however many messages the turn brought.  The
 * first task that is put off activates an event of our own; libevent runs
 * active events in order, so ours runs behind everything that is ready
 * already.  A task that puts off another one would keep that queue busy for
 * ever, so while tasks run, a timer of no length takes its place: it passes
 * through the kernel, and descriptors get their turn.
 *
 * Log lines that nobody has read yet are tried again from here, too.
 *
 * Not here: what a turn does; threads (a loop belongs to one).
 */
#include "src/loop.h"
#include "src/log.h"
#include "src/mem.h"

#include <event2/dns.h>
#include <event2/event.h>

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#define LOG_MS 20 /* between two tries of log lines that wait */

struct rd_loop {
	struct event_base *base; /* owned */
	struct evdns_base *dns;  /* owned, NULL before the first look-up */
	struct event tasks_due;  /* made active by the first task of a turn */
	struct event tasks_next; /* the same for tasks that tasks put off */
	struct event log_due;    /* while log lines wait to be read */
	struct rd_list tasks;    /* of rd_task.link, in order */
	bool dns_stale;          /* a look-up failed: read resolv.conf again */
	bool running;            /* tasks are being run */
	bool stopping;           /* rd_loop_run() is to return */
};

static void run_tasks(evutil_socket_t fd, short what, void *arg)
{
	struct rd_loop *loop = arg;
	struct rd_list now, *link;

	(void)fd;
	(void)what;
	rd_list_init(&now);
	while ((link = rd_list_shift(&loop->tasks)) != NULL)
		rd_list_push(&now, link);
	loop->running = true;
	while ((link = rd_list_shift(&now)) != NULL) {
		struct rd_task *t = rd_list_item(link, struct rd_task, link);

		t->fn(t->arg);
	}
	loop->running = false;
}

/* Behind whatever else has become ready in the new turn. */
static void next_turn(evutil_socket_t fd, short what, void *arg)
{
	struct rd_loop *loop = arg;

	(void)fd;
	(void)what;
	event_active(&loop->tasks_due, 0, 0);
}

/* rd_loop_turn() tries, and comes back here while it must. */
static void log_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* What libevent has to say does not wait either. */
static void on_libevent(int severity, const char *text)
{
	rd_log(severity >= EVENT_LOG_WARN ? RD_LOG_WARN : RD_LOG_DEBUG,
	       "loop.event", "text=%s", text);
}

struct rd_loop *rd_loop_new(void)
{
	struct rd_loop *loop = rd_new(struct rd_loop);
	struct event_config *cfg = event_config_new();

	event_set_log_callback(on_libevent);
	/* Whoever writes looks at the result. */
	signal(SIGPIPE, SIG_IGN);
	/* A timer counts from its start, not from that of the turn. */
	if (cfg != NULL &&
	    event_config_set_flag(cfg, EVENT_BASE_FLAG_NO_CACHE_TIME) == 0)
		loop->base = event_base_new_with_config(cfg);
	if (loop->base == NULL)
		abort();
	event_config_free(cfg);
	rd_list_init(&loop->tasks);
	event_assign(&loop->tasks_due, loop->base, -1, 0, run_tasks, loop);
	event_assign(&loop->tasks_next, loop->base, -1, 0, next_turn, loop);
	event_assign(&loop->log_due, loop->base, -1, 0, log_again, loop);
	return loop;
}

void rd_loop_free(struct rd_loop **loop_ptr)
{
	struct rd_loop *loop = *loop_ptr;

	if (loop == NULL)
		return;
	/* Objects that were closed last free themselves in a task, and a name
	 * look-up that was given up ends in a turn of its own. */
	for (int i = 0; i < 4; i++) {
		event_base_loop(loop->base, EVLOOP_NONBLOCK);
		run_tasks(-1, 0, loop);
	}
	event_del(&loop->tasks_due);
	event_del(&loop->tasks_next);
	event_del(&loop->log_due);
	rd_log_end();
	if (loop->dns != NULL)
		evdns_base_free(loop->dns, 0);
	event_base_free(loop->base);
	free(loop);
	*loop_ptr = NULL;
}

bool rd_loop_turn(struct rd_loop *loop)
{
	static const struct timeval soon = {0, LOG_MS * 1000};
	bool more = event_base_loop(loop->base, EVLOOP_ONCE) == 0;

	if (!event_pending(&loop->log_due, EV_TIMEOUT, NULL) && rd_log_flush())
		event_add(&loop->log_due, &soon);
	return more;
}

void rd_loop_run(struct rd_loop *loop)
{
	loop->stopping = false;
	while (!loop->stopping && rd_loop_turn(loop))
		;
}

void rd_loop_stop(struct rd_loop *loop)
{
	loop->stopping = true;
}

struct event_base *rd_loop_base(struct rd_loop *loop)
{
	return loop->base;
}

/* Without a resolv.conf, /etc/hosts still serves. */
static void read_resolv_conf(struct rd_loop *loop)
{
	evdns_base_resolv_conf_parse(loop->dns, DNS_OPTIONS_ALL,
				     "/etc/resolv.conf");
	loop->dns_stale = false;
}

struct evdns_base *rd_loop_dns(struct rd_loop *loop)
{
	if (loop->dns == NULL) {
		loop->dns = evdns_base_new(loop->base,
					   EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		if (loop->dns == NULL)
			abort();
		read_resolv_conf(loop);
	} else if (loop->dns_stale) {
		evdns_base_clear_host_addresses(loop->dns);
		evdns_base_clear_nameservers_and_suspend(loop->dns);
		read_resolv_conf(loop);
		evdns_base_resume(loop->dns);
	}
	return loop->dns;
}

void rd_loop_dns_failed(struct rd_loop *loop)
{
	loop->dns_stale = true;
}

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
	struct rd_timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg);
}

void rd_timer_init(struct rd_timer *t, struct rd_loop *loop, rd_fn *fn,
		   void *arg)
{
	t->fn = fn;
	t->arg = arg;
	event_assign(&t->ev, loop->base, -1, 0, timer_fired, t);
}

void rd_timer_start(struct rd_timer *t, uint64_t ms)
{
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
			     .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	event_add(&t->ev, &tv);
}

void rd_timer_stop(struct rd_timer *t)
{
	event_del(&t->ev);
}

bool rd_timer_pending(const struct rd_timer *t)
{
	return event_pending(&t->ev, EV_TIMEOUT, NULL) != 0;
}

static void watch_fired(evutil_socket_t fd, short what, void *arg)
{
	struct rd_watch *w = arg;

	(void)fd;
	w->fn(w->arg, what & (EV_READ | EV_WRITE));
}

void rd_watch_init(struct rd_watch *w, struct rd_loop *loop, int fd,
		   rd_watch_fn *fn, void *arg)
{
	w->fn = fn;
	w->arg = arg;
	event_assign(&w->ev, loop->base, fd, EV_PERSIST, watch_fired, w);
}

void rd_watch_set(struct rd_watch *w, short what)
{
	struct event_base *base = event_get_base(&w->ev);
	evutil_socket_t fd = event_get_fd(&w->ev);

	assert((what & ~(EV_READ | EV_WRITE)) == 0);
	/* Its own mask tells what it waits for: it is added while that is not
	 * empty. */
	if ((event_get_events(&w->ev) & (EV_READ | EV_WRITE)) == what)
		return;
	event_del(&w->ev);
	event_assign(&w->ev, base, fd, (short)(what | EV_PERSIST), watch_fired,
		     w);
	if (what != 0)
		event_add(&w->ev, NULL);
}

void rd_watch_stop(struct rd_watch *w)
{
	rd_watch_set(w, 0);
}

static void signal_fired(evutil_socket_t signo, short what, void *arg)
{
	struct rd_signal *s = arg;

	(void)what;
	s->fn(s->arg, (int)signo);
}

void rd_signal_start(struct rd_signal *s, struct rd_loop *loop, int signo,
		     rd_signal_fn *fn, void *arg)
{
	s->fn = fn;
	s->arg = arg;
	event_assign(&s->ev, loop->base, signo, EV_SIGNAL | EV_PERSIST,
		     signal_fired, s);
	event_add(&s->ev, NULL);
}

void rd_signal_stop(struct rd_signal *s)
{
	event_del(&s->ev);
}

void rd_task_init(struct rd_task *t, rd_fn *fn, void *arg)
{
	rd_list_init(&t->link);
	t->fn = fn;
	t->arg = arg;
}

void rd_task_defer(struct rd_task *t, struct rd_loop *loop)
{
	static const struct timeval at_once = {0, 0};

	if (!rd_list_empty(&t->link))
		return;
	if (rd_list_empty(&loop->tasks)) {
		if (loop->running)
			event_add(&loop->tasks_next, &at_once);
		else
			event_active(&loop->tasks_due, 0, 0);
	}
	rd_list_push(&loop->tasks, &t->link);
}

void rd_task_cancel(struct rd_task *t)
{
	rd_list_remove(&t->link);
}
