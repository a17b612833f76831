/* SPDX-License-Identifier: MIT */
/*
 * runner.h -- whatever runs a handler: threads of this process (thread.c), or a
 * child behind a pair of pipes (exec.c).
 *
 * It is given works, and gives each back, in any order, with a verdict.  It
 * never runs a handler in the loop, so heartbeats and commits go on.
 */
#ifndef RD_WORKERS_RUNNER_H
#define RD_WORKERS_RUNNER_H

#include "workers/work.h"

struct rd_runner;

struct rd_runner_ops {
	/* A work comes back; its verdict is there, or it was skipped.  Called
	 * from the loop. */
	void (*done)(void *arg, struct rd_work *work);
	/*
	 * The handler has been running for longer than handler-timeout, and
	 * nothing can stop it but the end of this process: on one work, or on
	 * a batch of count.  They are still the runner's, which never gives
	 * them back; places: how many of its places still work.  Called once
	 * for each place.
	 */
	void (*stuck)(void *arg, const struct rd_work *const *works,
		      size_t count, size_t places);
};

/* First member of every runner. */
struct rd_runner {
	size_t places; /* works (or batches) that it runs at the same time */
	/*
	 * It has a queue of its own, runs the works of one gate one after
	 * another, in the order in which they were given, and looks at the
	 * gate: then all that is there may be given to it.  Else it is given
	 * no more than it has places, and whoever wants order gives one at a
	 * time.
	 */
	bool queues;
	/* Takes one work. */
	void (*give)(struct rd_runner *runner, struct rd_work *work);
	/* Works that the handler has now. */
	size_t (*running)(struct rd_runner *runner);
	/*
	 * Ends it.  Works that it still has are forgotten, not freed: the
	 * process is about to end.
	 */
	void (*close)(struct rd_runner *runner);
};

static inline void rd_runner_give(struct rd_runner *r, struct rd_work *work)
{
	r->give(r, work);
}

static inline size_t rd_runner_running(struct rd_runner *r)
{
	return r->running(r);
}

static inline void rd_runner_close(struct rd_runner **r)
{
	if (*r != NULL)
		(*r)->close(*r);
	*r = NULL;
}

struct rd_config;
struct rd_handler;

/*
 * A thread that runs a C handler, or several.  args: what stands behind its
 * name; cfg: handler-timeout; batch, the most that the batch form is given;
 * concurrency, the threads of one that may be called from several.
 * RD_ECONFIG with a sentence in why where its open() refuses.
 */
RD_MUST_CHECK int rd_thread_open(struct rd_loop *loop,
				 const struct rd_config *cfg,
				 const struct rd_handler *handler,
				 const char *args,
				 const struct rd_runner_ops *ops, void *arg,
				 struct rd_runner **runner_out,
				 struct rd_buf *why);
/* A child that speaks the line protocol; command is for /bin/sh, borrowed; cfg:
 * handler-timeout and concurrency. */
struct rd_runner *rd_exec_open(struct rd_loop *loop,
			       const struct rd_config *cfg, const char *command,
			       const struct rd_runner_ops *ops, void *arg);

#endif
