/* SPDX-License-Identifier: MIT */
/*
 * pollset.h -- very many descriptors of one kind, watched at next to no cost.
 *
 * A watch of loop.h costs 150 bytes and a walk through libevent; a member of a
 * pollset costs neither, because all of them share one callback and keep what
 * there is to know about them themselves.
 */
#ifndef RD_SRC_POLLSET_H
#define RD_SRC_POLLSET_H

#include "src/loop.h"

struct rd_pollset;

/* item: as given.  what: EV_READ, EV_WRITE or both, of those that are waited
 * for. */
typedef void rd_pollset_fn(void *item, short what);

struct rd_pollset *rd_pollset_new(struct rd_loop *loop, rd_pollset_fn *fn);
/* Its members may be there still; fn is not called any more. */
void rd_pollset_free(struct rd_pollset **set);
/*
 * RD_EIO where the kernel watches no more.  Waits for `now` (EV_READ |
 * EV_WRITE; 0: for nothing) where `before` was waited for until now; 0 at
 * first.  Level-triggered.  A member that is closed leaves by itself.  Until
 * the turn ends fn may be called for an item whose descriptor was closed or
 * waits for something else by now, so an item is freed after the turn, and
 * looks at its own state.
 */
RD_MUST_CHECK int rd_pollset_set(struct rd_pollset *set, int fd, void *item,
				 short before, short now);

#endif
