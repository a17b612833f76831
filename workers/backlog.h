/* SPDX-License-Identifier: MIT */
/*
 * backlog.h -- how much waits for this worker, asked of Redis now and then.
 */
#ifndef RD_WORKERS_BACKLOG_H
#define RD_WORKERS_BACKLOG_H

#include "workers/lane.h"
#include "workers/self.h"

struct rd_backlog_watch;

/* The sources that are behind: calls rd_backlog_ask() for each. */
typedef void rd_backlog_fn(void *arg, struct rd_backlog_watch *watch);

struct rd_backlog_watch *rd_backlog_new(struct rd_self *self, rd_backlog_fn *fn,
					void *arg);
/* Together with the link: no reply may come afterwards. */
void rd_backlog_free(struct rd_backlog_watch **watch);
/* Inside rd_backlog_fn: this channel may be behind.  divided: it is ours
 * alone, not the whole team's. */
void rd_backlog_ask(struct rd_backlog_watch *watch, struct rd_slice key,
		    bool divided);

struct rd_backlog_sum {
	uint64_t shared;    /* messages that the team was not given yet */
	uint64_t divided;   /* the same, of channels that are ours alone */
	uint64_t oldest_ms; /* when the oldest of all was published; 0: none */
};
/* What the last round found, which is at most a few seconds old. */
struct rd_backlog_sum rd_backlog_get(const struct rd_backlog_watch *watch);

#endif
