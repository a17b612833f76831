/* SPDX-License-Identifier: MIT */
/*
 * loop.h -- the event loop: descriptors, timers, signals, deferred tasks.
 *
 * A thin dress over libevent.  All watchers are embedded in their owners; an
 * owner may stop them at any time, and frees itself only from a task or timer
 * of its own, never inside a callback that somebody else is running.
 */
#ifndef RD_SRC_LOOP_H
#define RD_SRC_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include <redistribute/error.h>

#include "src/list.h"

struct event_base;
struct evdns_base;
struct rd_loop;

typedef void rd_fn(void *arg);
/* what: EV_READ, EV_WRITE or both */
typedef void rd_watch_fn(void *arg, short what);
typedef void rd_signal_fn(void *arg, int signo);

/* Aborts where the kernel gives no event facility. */
struct rd_loop *rd_loop_new(void);
/* All watchers must have been stopped; tasks that still wait are run. */
void rd_loop_free(struct rd_loop **loop);
/* Runs until rd_loop_stop(), or until nothing is left to wait for. */
void rd_loop_run(struct rd_loop *loop);
/* Makes rd_loop_run() return after the present turn. */
void rd_loop_stop(struct rd_loop *loop);
/* Waits for something to happen, and runs one turn; false where nothing is
 * left to wait for. */
bool rd_loop_turn(struct rd_loop *loop);
/* For the few files that hand it to a libevent facility. */
struct event_base *rd_loop_base(struct rd_loop *loop);
/* Looks up names: made at the first call, the loop's own.  After a failure the
 * next call reads resolv.conf and hosts again: the network may have changed. */
struct evdns_base *rd_loop_dns(struct rd_loop *loop);
void rd_loop_dns_failed(struct rd_loop *loop);

/* A timer that fires once for each start.  The kernel's coarse clock drives
 * it: it may fire up to 4 ms early, so a deadline looks at the clock itself. */
struct rd_timer {
	struct event ev;
	rd_fn *fn;
	void *arg;
};
void rd_timer_init(struct rd_timer *t, struct rd_loop *loop, rd_fn *fn,
		   void *arg);
/* Starts, or starts anew, to fire after ms milliseconds. */
void rd_timer_start(struct rd_timer *t, uint64_t ms);
void rd_timer_stop(struct rd_timer *t);
bool rd_timer_pending(const struct rd_timer *t);

/* A descriptor.  The owner closes it, after rd_watch_stop(). */
struct rd_watch {
	struct event ev;
	rd_watch_fn *fn;
	void *arg;
};
void rd_watch_init(struct rd_watch *w, struct rd_loop *loop, int fd,
		   rd_watch_fn *fn, void *arg);
/* From now on wait for these (EV_READ | EV_WRITE), level-triggered; 0: none. */
void rd_watch_set(struct rd_watch *w, short what);
void rd_watch_stop(struct rd_watch *w);

/* A signal. */
struct rd_signal {
	struct event ev;
	rd_signal_fn *fn;
	void *arg;
};
void rd_signal_start(struct rd_signal *s, struct rd_loop *loop, int signo,
		     rd_signal_fn *fn, void *arg);
void rd_signal_stop(struct rd_signal *s);

/*
 * A task runs once, at the end of the turn in which it was put off: after all
 * events that were ready in this turn, before the loop sleeps.  A task that is
 * put off while tasks run, runs in the next turn.
 */
struct rd_task {
	struct rd_list link; /* on the loop's list while it waits */
	rd_fn *fn;
	void *arg;
};
void rd_task_init(struct rd_task *t, rd_fn *fn, void *arg);
/* Puts it off; a second time before it has run changes nothing. */
void rd_task_defer(struct rd_task *t, struct rd_loop *loop);
void rd_task_cancel(struct rd_task *t);

#endif
