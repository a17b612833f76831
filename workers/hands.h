/* SPDX-License-Identifier: MIT */
/*
 * hands.h -- the threads that call a C handler, and the queue before them.
 *
 * The loop puts works in, and collects them when they were run or skipped: a
 * work whose gate is shut comes back unrun, and so does what stands behind one
 * of its gate that was not done, which shuts it.  The works of a gate run one
 * after another, in the order in which they were put in.
 */
#ifndef RD_WORKERS_HANDS_H
#define RD_WORKERS_HANDS_H

#include <redistribute/handler.h>

#include "workers/work.h"

struct rd_hands;

/* count threads, which call handler on up to `most` works at once; it and state
 * are borrowed.  Aborts where the machine has nothing left. */
struct rd_hands *rd_hands_new(const struct rd_handler *handler, void *state,
			      size_t count, size_t most);
/* A descriptor that can be read when there is something to collect; what was
 * done just now may not have rung yet. */
int rd_hands_bell(const struct rd_hands *hands);
/* Empties fresh. */
void rd_hands_put(struct rd_hands *hands, struct rd_list *fresh);
/* Appends what is finished to done_out. */
void rd_hands_collect(struct rd_hands *hands, struct rd_list *done_out);
/* Works that run now. */
size_t rd_hands_running(struct rd_hands *hands);
/*
 * Tells of thread i, once, that what it runs has taken longer than timeout_us:
 * the works (count of them) are borrowed for ever, for the thread never gives
 * them back.
 */
bool rd_hands_is_stuck(struct rd_hands *hands, size_t i, uint64_t timeout_us,
		       const struct rd_work *const **works_out,
		       size_t *count_out);
/* Ends the threads, and waits for that, up to wait_ms in all.  False: some are
 * still in the handler, and use what is to be left alone until the end of the
 * process. */
RD_MUST_CHECK bool rd_hands_stop(struct rd_hands *hands, int wait_ms);
/* After that was true. */
void rd_hands_free(struct rd_hands **hands);

#endif
