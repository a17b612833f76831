/* SPDX-License-Identifier: MIT */
/*
 * child.h -- one child process: started, watched, restarted, stopped.
 *
 * Pure: what a child does to the world goes through struct rd_child_ops, and
 * "now" is an argument, so that a test can play a whole life in no time.
 *
 * A child that ends unasked is started again: at once where it lived longer
 * than 10 s, else after 0.2 s, doubling to 30 s, a fifth more or less by
 * chance; a life of 60 s makes up for all before.  One that says by its exit
 * status that its flags or its configuration are wrong is parked instead.  One
 * that was ready and says that it has done enough, or that its settings are
 * wrong where newer ones wait for its successor, makes room for that: this is
 * no death, and nothing is waited for, except that the starts of such a child
 * are 0.2 s apart.
 *
 * The same holds for the end of one that was at risk, except that this is a
 * death: one message has ended it, and that is counted towards max-crashes or
 * max-attempts of that message.  So it is progress, which no waiting hastens.
 *
 * One that is ready and gives no sign of life for watchdog_ms runs and does not
 * work: it is replaced.  That is measured in looks, not by the clock: where
 * this process, or the whole machine, was stopped meanwhile, only one of them
 * was missed.
 */
#ifndef RD_SRC_CHILD_H
#define RD_SRC_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <redistribute/error.h>

#define RD_INCARNATION_LEN 16 /* hexadecimal digits */

enum rd_child_state {
	RD_CHILD_NEW,
	RD_CHILD_STARTING,  /* runs, has not said that it is ready */
	RD_CHILD_RUNNING,   /* has */
	RD_CHILD_BACKOFF,   /* ended unasked, waits to be started again */
	RD_CHILD_REPLACING, /* asked to end, a successor follows */
	RD_CHILD_STOPPING,  /* asked to end */
	RD_CHILD_PARKED,    /* ended, and starting it again is of no use */
	RD_CHILD_DONE,      /* ended as asked */
	RD_CHILD_STATES
};

enum rd_child_event {
	RD_CHILD_START,
	RD_CHILD_READY,   /* it has said so */
	RD_CHILD_ALIVE,   /* it has given another sign of life */
	RD_CHILD_EXITED,  /* by rd_child_exited() only */
	RD_CHILD_TIMEOUT, /* the alarm that it asked for */
	RD_CHILD_REPLACE, /* end it and start a successor */
	RD_CHILD_STOP,    /* end it */
	RD_CHILD_HURRY,   /* of one that is ending: be quick */
	RD_CHILD_EVENTS
};

struct rd_child;

struct rd_child_ops {
	/* Starts the program.  The pid, or an error where that failed. */
	int (*spawn)(struct rd_child *c);
	void (*kill)(struct rd_child *c, int signo);
	/* RD_CHILD_TIMEOUT in ms milliseconds instead of the one asked for
	 * before; 0: none. */
	void (*alarm)(struct rd_child *c, uint64_t ms);
	/* It has ended; pid and incarnation are still the dead one's. */
	void (*buried)(struct rd_child *c);
	/* It has entered another state. */
	void (*entered)(struct rd_child *c);
};

struct rd_child {
	const struct rd_child_ops *ops; /* borrowed */
	const char *role;               /* borrowed for ever: "worker" */
	int index;                      /* place among its like, from 0 */
	uint64_t ready_within_ms;       /* from start to ready */
	uint64_t stop_within_ms;        /* from SIGTERM to SIGKILL */
	uint64_t watchdog_ms;           /* silence after which it is replaced;
					 * 0: it may be silent */

	enum rd_child_state state;
	pid_t pid;           /* 0 while there is no process */
	uint64_t now_ms;     /* of the event that is being handled */
	uint64_t started_ms; /* when the process was started */
	int status;          /* of the last one that ended, as wait(2) says */
	unsigned failures;   /* short lives in a row */
	unsigned deaths;     /* times that it has ended unasked */
	unsigned stuck;      /* times that it was replaced for its silence */
	unsigned silent; /* looks in a row that have found no sign of life */
	bool ever_ready; /* some life of it has been ready */
	bool killed;     /* we have sent this process a signal to end it */
	bool stale;      /* it has older settings than its successor */
	bool at_risk;    /* if it ends now, it has told why: set by whoever
			  * hears that */
	/* The name of this life, never used twice; spawn makes it. */
	char incarnation[RD_INCARNATION_LEN + 1];
};

void rd_child_init(struct rd_child *c, const char *role, int index,
		   const struct rd_child_ops *ops);
/* An event that its state does not care about is ignored. */
void rd_child_event(struct rd_child *c, enum rd_child_event event,
		    uint64_t now_ms);
/* Its process has ended, with this status of wait(2). */
void rd_child_exited(struct rd_child *c, int status, uint64_t now_ms);
/* The exit status of the process that ended last, or -1 after a signal. */
int rd_child_exit_status(const struct rd_child *c);
/* "running"; never NULL. */
const char *rd_child_state_name(enum rd_child_state state);

#endif
