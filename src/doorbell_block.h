/* SPDX-License-Identifier: MIT */
/*
 * doorbell_block.h -- the doorbell's fall-back: rounds of bounded XREAD BLOCK.
 *
 * Private to doorbell.c.  Groups of at most 128 streams each wait on a link of
 * their own.  What comes back names the streams that have something new, which
 * rings their bells; the entries are thrown away, so that owners see no
 * difference.  Bells without a cursor, and keys that turn out to be no
 * streams, are polled each second.
 */
#ifndef RD_SRC_DOORBELL_BLOCK_H
#define RD_SRC_DOORBELL_BLOCK_H

#include "src/doorbell.h"

#define RD_BLOCK_GROUP 128 /* streams a link */

struct rd_blocks;

struct rd_blocks_ops {
	/* This key has something new. */
	void (*rung)(void *arg, struct rd_slice key);
	/* This bell is polled, and it is time. */
	void (*due)(void *arg, struct rd_bell *bell);
};

/*
 * uri, tls, name and reader are borrowed until close; reader is where blocked
 * links are woken from (CLIENT UNBLOCK), and must be closed before.  ops is
 * called from the loop only.
 */
struct rd_blocks *rd_blocks_open(struct rd_loop *loop, const struct rd_uri *uri,
				 struct rd_tls *tls, const char *name,
				 struct rd_redis *reader,
				 const struct rd_blocks_ops *ops, void *arg);
/* All bells must have been removed. */
void rd_blocks_close(struct rd_blocks **b);

void rd_blocks_add(struct rd_blocks *b, struct rd_bell *bell);
void rd_blocks_remove(struct rd_blocks *b, struct rd_bell *bell);
/* Its read is over: from now on it is to be watched (again). */
void rd_blocks_quiet(struct rd_blocks *b, struct rd_bell *bell);

#endif
