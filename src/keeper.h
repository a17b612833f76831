/* SPDX-License-Identifier: MIT */
/*
 * keeper.h -- housekeeping of a deployment, by one process at a time.
 *
 * Every gateway and worker offers itself; whoever holds the lease
 * <prefix>:keeper is the keeper until it goes or dies.  It
 *   - publishes delayed messages when they are due (promote.lua);
 *   - makes channels known that only a foreign XADD has made, within
 *     `discover`;
 *   - trims channels that stand above maxlen, because those who write there
 *     do not trim;
 *   - removes channels that were idle for `expire`, and dead letters beyond
 *     `dead-limit`.
 * All of it is done by scripts that do no harm when two keepers run them, so
 * nothing depends on the lease but the cost.
 */
#ifndef RD_SRC_KEEPER_H
#define RD_SRC_KEEPER_H

#include "src/config.h"
#include "src/doorbell.h"
#include "src/node.h"

struct rd_keeper;

/*
 * link and doorbell lead to the same Redis; they and cfg are borrowed until
 * free, name (for people; it is made unique) is copied.
 */
struct rd_keeper *rd_keeper_start(struct rd_loop *loop, struct rd_redis *link,
				  struct rd_doorbell *doorbell,
				  const struct rd_config *cfg,
				  const char *name);
/* Ends all duties, and gives the lease up where the link is up. */
void rd_keeper_stop(struct rd_keeper *k);
/* Stops it before, where that was not done.  Close link and doorbell before or
 * in the same turn, the doorbell after this: no answer may come later. */
void rd_keeper_free(struct rd_keeper **k);
/* Inside rd_node_fn: whether this is the keeper, and what it has done. */
void rd_keeper_report(const struct rd_keeper *k, struct rd_node *node);

#endif
