/* SPDX-License-Identifier: MIT */
/*
 * worker_impl.h -- the inside of a worker, for the four files:
 *
 *	worker.c	its life, from the first look for work to the last
 *	worker_open.c	making its parts, and taking them apart
 *	worker_link.c	its links come and go
 *	worker_report.c	what it says of itself
 */
#ifndef RD_WORKERS_WORKER_IMPL_H
#define RD_WORKERS_WORKER_IMPL_H

#include "src/keeper.h"
#include "src/meta.h"
#include "src/node.h"
#include "src/proc.h"

#include "workers/divided.h"
#include "workers/intake.h"
#include "workers/paused.h"
#include "workers/peers.h"
#include "workers/reader.h"
#include "workers/runner.h"

enum stage { RUNNING, DRAINING, LEAVING };

struct worker {
	struct rd_self self;
	struct rd_proc *proc; /* borrowed */
	struct rd_loop *loop; /* owned, as all that follows */
	struct rd_uri uri;
	struct rd_tls *tls; /* NULL where the URI needs none */
	struct rd_redis *redis;
	struct rd_publisher *publisher;
	struct rd_peers *peers;
	struct rd_doorbell *doorbell;
	struct rd_node *node;
	struct rd_keeper *keeper;
	struct rd_runner *runner;
	struct rd_intake *intake;
	struct rd_paused *paused;
	struct rd_shared **shared;  /* shared_count: named channels */
	struct rd_reader **readers; /* reader_count: of those */
	size_t shared_count, reader_count;
	struct rd_backlog_watch *backlog;
	struct rd_divided *divided; /* NULL: nothing is, or not agreed yet */
	struct rd_signal signals[3];
	struct rd_task more;      /* looks for work */
	struct rd_timer title;    /* each second */
	struct rd_timer deadline; /* of a drain */
	struct rd_timer last;     /* of leaving */
	struct rd_timer look;     /* the next survey */
	struct rd_timer agree;    /* asks for rd:meta again */
	uint64_t look_ms;         /* how long after the last one */
	enum stage stage;
	bool joined, ready;           /* of the team; told our parent */
	bool recycling;               /* it has done its share; see exit status
				       */
	bool stuck;                   /* the handler hangs */
	bool helpless;                /* in all of its places */
	size_t hung;                  /* messages in hand that never come back
				       */
	bool told;                    /* a signal has asked it to end */
	uint64_t share;               /* messages after which it makes room; 0:
				       * none */
	uint64_t share_bytes;         /* the same: resident memory */
	char epoch[RD_EPOCH_LEN + 1]; /* of the data set; "" before */
	int status;                   /* of exit */
};

/* worker_link.c: links and agreements.  Each struct's arg is the worker. */
extern const struct rd_redis_ops rd_worker_link_ops;
extern const struct rd_doorbell_ops rd_worker_bell_ops;
extern const struct rd_paused_ops rd_worker_paused_ops;
/* Asks Redis what all must agree on: of the timer and of a new link. */
void rd_worker_agree(void *arg);

/* worker.c: what happens.  The same. */
extern const struct rd_peers_ops rd_worker_peers_ops;
extern const struct rd_runner_ops rd_worker_runner_ops;
/* Takes nothing more, finishes what is in hand, and ends with this status. */
void rd_worker_end(struct worker *w, int status);
void rd_worker_start(struct worker *w);
void rd_worker_stop(struct worker *w);

/* worker_report.c: what it says of itself; rd_node_fn, rd_backlog_fn. */
void rd_worker_report(void *arg, struct rd_node *node);
/* Asks for the channels of which some may wait. */
void rd_worker_ask_backlog(void *arg, struct rd_backlog_watch *watch);

/* worker_open.c: how it is made.  RD_ECONFIG with a sentence in why. */
RD_MUST_CHECK int rd_worker_open(struct worker *w, struct rd_buf *why);
void rd_worker_close(struct worker *w);

#endif
