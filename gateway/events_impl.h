/* SPDX-License-Identifier: MIT */
/*
 * events_impl.h -- the inside of server events, for the two files:
 *
 *	events.c	what comes from handlers, and all of it together
 *	socket.c	one client, as handlers see it
 */
#ifndef RD_GATEWAY_EVENTS_IMPL_H
#define RD_GATEWAY_EVENTS_IMPL_H

#include "gateway/events.h"
#include "gateway/stale.h"

struct rd_events {
	struct rd_events_env env;
	char *name;             /* owned: of this gateway's mailbox */
	struct rd_rules *rules; /* owned, as all below */
	struct rd_askers *askers;
	struct rd_quota *quota; /* NULL: there is no limit */
	struct rd_asks *asks;
	struct rd_mailbox *mailbox; /* NULL where no handler is asked */
	struct rd_stale *stale;     /* the same */
	struct rd_map sockets;      /* of struct rd_socket, by number */
	uint64_t last;              /* number given */
	struct rd_buf reason;       /* scratch */
	char *too_deep;             /* owned: what is said of such a message */
	struct rd_order_counters counters;
};

#endif
