/* SPDX-License-Identifier: MIT */
/*
 * divided.h -- the divided half of a worker: which channels there are
 * (catalog.h), which slots are ours (lease.h), and both together (lanes.h).
 */
#ifndef RD_WORKERS_DIVIDED_H
#define RD_WORKERS_DIVIDED_H

#include "src/doorbell.h"

#include "workers/backlog.h"
#include "workers/lanes.h"

struct rd_divided;

/* Does this configuration divide anything? */
bool rd_divided_wanted(const struct rd_config *cfg);
/* Is this channel shared, message by message, although a pattern matches? */
bool rd_divided_shares(const struct rd_config *cfg, struct rd_slice channel);

/* peers, paused and doorbell are borrowed until free; slots: how many the
 * team's channels are divided into. */
struct rd_divided *rd_divided_new(struct rd_self *self, unsigned slots,
				  const struct rd_peers *peers,
				  const struct rd_paused *paused,
				  struct rd_doorbell *doorbell);
/* Together with the links: no reply may come afterwards. */
void rd_divided_free(struct rd_divided **d);
/* The link is up: what was under way is sent again, all is looked at anew. */
void rd_divided_up(struct rd_divided *d);
/* A link is gone: on a new one nothing is read before a claim. */
void rd_divided_down(struct rd_divided *d);
/* Gives back all of our slots, each when nothing of it is in hand. */
void rd_divided_leave(struct rd_divided *d);
/* We are of the team, now or again. */
void rd_divided_joined(struct rd_divided *d);
/* The team has changed. */
void rd_divided_changed(struct rd_divided *d);
/* What may be read has changed. */
void rd_divided_look(struct rd_divided *d);
/* Goes on where there was no room. */
void rd_divided_more(struct rd_divided *d);

/* Asks for those that are behind; see backlog.h. */
void rd_divided_ask(struct rd_divided *d, struct rd_backlog_watch *watch);

struct rd_divided_stats {
	size_t slots, lanes;
	size_t waiting; /* lanes that wait for a retry */
};
void rd_divided_stats(const struct rd_divided *d,
		      struct rd_divided_stats *stats_out);

#endif
