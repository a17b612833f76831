/* SPDX-License-Identifier: MIT */
/*
 * node.h -- what a process says of itself in Redis: <prefix>:node:<id>.
 *
 * A hash that is rewritten each two seconds and expires after ten; its id
 * stands in <prefix>:nodes with the same expiry.  `redistribute status` reads
 * it, so do metrics and dashboards of other machines.
 */
#ifndef RD_SRC_NODE_H
#define RD_SRC_NODE_H

#include "src/buf.h"
#include "src/redis.h"

struct rd_node;

/* Appends counters to the report with rd_node_add(). */
typedef void rd_node_fn(void *arg, struct rd_node *node);

/*
 * id: unique, e.g. "<node>.gateway.0"; role: "gateway", "worker",
 * "supervisor"; both copied.  link is borrowed.  Host, pid, version, start time
 * and resident memory are added by itself.
 */
struct rd_node *rd_node_start(struct rd_loop *loop, struct rd_redis *link,
			      const char *prefix, const char *id,
			      const char *role, rd_node_fn *fn, void *arg);
/* Removes the entry from Redis where the link is up, and stops. */
void rd_node_stop(struct rd_node **node);
/* Something has changed that others wait for: reports within 0.1 s. */
void rd_node_soon(struct rd_node *node);
/* Reports at once, and calls fn when Redis has answered; a negative error where
 * the link is down, which does not call. */
RD_MUST_CHECK int rd_node_now(struct rd_node *node, rd_reply_fn *fn, void *arg);
/* Inside rd_node_fn: one field. */
void rd_node_add(struct rd_node *node, const char *name, uint64_t value);
void rd_node_adds(struct rd_node *node, const char *name, const char *value);

/*
 * This machine's name: cfg node, else a random one that is made once and kept
 * in <data_dir>/node.  RD_EIO with a sentence in why where that cannot be
 * read or written.  name_out has room for RD_NAME_MAX + 1.
 */
RD_MUST_CHECK int rd_node_name(const char *configured, const char *data_dir,
			       char *name_out, struct rd_buf *why);

#endif
