/* SPDX-License-Identifier: MIT */
/*
 * asker.h -- whose questions are under way: so many of one connection, and so
 * many of one address.
 *
 * Questions outlive the connection they come from, so it is not the connection
 * that counts them.
 */
#ifndef RD_GATEWAY_ASKER_H
#define RD_GATEWAY_ASKER_H

#include "gateway/conn.h"

struct rd_askers; /* all of them */
struct rd_asker;  /* one connection */

/* How many questions one connection, and one address, may have under way. */
struct rd_askers *rd_askers_new(size_t of_connection, size_t of_address);
/* All must have gone. */
void rd_askers_free(struct rd_askers **all);

/* Shared with the questions; unref it.  Its address is not counted where it is
 * loopback, or no address at all. */
struct rd_asker *rd_asker_new(struct rd_askers *all,
			      const struct rd_conn *conn);
/* NULL is fine. */
void rd_asker_unref(struct rd_asker **asker);

/* Has its connection as many under way as it may?  NULL has none. */
bool rd_asker_is_full(const struct rd_asker *asker);
/* Has its address? */
bool rd_asker_is_crowded(const struct rd_asker *asker);
/* One begins; it holds the asker until it ends. */
void rd_asker_begin(struct rd_asker *asker);
void rd_asker_end(struct rd_asker *asker);

#endif
