/* SPDX-License-Identifier: MIT */
/*
 * channel_impl.h -- the inside of channels, for the two files:
 *
 *	channel.c	which there are
 *	channel_read.c	following one
 */
#ifndef RD_GATEWAY_CHANNEL_IMPL_H
#define RD_GATEWAY_CHANNEL_IMPL_H

#include "gateway/channel.h"

struct rd_channels {
	struct rd_doorbell *doorbell;     /* borrowed */
	const char *prefix;               /* borrowed */
	const struct rd_channel_ops *ops; /* borrowed */
	void *arg;
	struct rd_rings *rings;  /* owned */
	struct rd_trails trails; /* of those that have one */
	struct rd_map map;       /* by name */
	uint64_t entries;        /* handed on since the start */
};

/* ---- channel.c ---- */

void rd_channel_free(struct rd_channel *ch);
/* Nothing that is known of it holds any more.  same: it is still the stream
 * that it was, only shorter. */
void rd_channel_forget(struct rd_channel *ch, bool same);

/* ---- channel_read.c ---- */

extern const struct rd_bell_ops rd_channel_bell_ops;

#endif
