/* SPDX-License-Identifier: MIT */
/*
 * catalog.h -- all channels whose names match the patterns of a worker.
 *
 * Channels come and go while a worker runs.  It is told of each once, whoever
 * made it, in whatever order Redis has them.
 */
#ifndef RD_WORKERS_CATALOG_H
#define RD_WORKERS_CATALOG_H

#include "src/doorbell.h"

#include "workers/self.h"

struct rd_catalog;

/* Called from replies; may not free the catalog.  The slice lives until gone
 * for this channel has returned. */
struct rd_catalog_ops {
	void (*found)(void *arg, struct rd_slice channel);
	/* It was removed: it is no longer among the channels that are known. */
	void (*gone)(void *arg, struct rd_slice channel);
};

/*
 * patterns and what they hold are borrowed until free.  Of their items those
 * that are patterns (rd_glob_is_pattern) count; without any it asks Redis
 * nothing, and is complete.  The others name channels, which are left out,
 * also where a pattern matches them: for them holds what their name says.
 */
struct rd_catalog *rd_catalog_open(struct rd_self *self,
				   const struct rd_strings *patterns,
				   const struct rd_catalog_ops *ops, void *arg);
/* Together with the links: no reply may come afterwards.  Calls nothing. */
void rd_catalog_free(struct rd_catalog **catalog);
/* The link is up, or the data set is another one: read everything again.  What
 * is known stays known, until it turns out that it is not there. */
void rd_catalog_up(struct rd_catalog *catalog);
/* Hangs up the bell of <prefix>:new, or takes it down (NULL). */
void rd_catalog_bell(struct rd_catalog *catalog, struct rd_doorbell *doorbell);
/* Has everything been read once? */
bool rd_catalog_complete(const struct rd_catalog *catalog);
/* Walks all channels in no order: starts and ends with NULL; the name is
 * node->key.  Not across a turn of the loop. */
const struct rd_map_node *rd_catalog_next(const struct rd_catalog *catalog,
					  const struct rd_map_node *node);

#endif
