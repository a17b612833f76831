/* SPDX-License-Identifier: MIT */
/*
 * tickets.h -- the keys of TLS session tickets, shared by a machine's gateways.
 *
 * A client that comes back meets any of the processes that share the port.
 * Only if all of them can read the ticket that one has given it is the second
 * handshake short.  So the keys stand in files of the data directory, one for
 * each half of a day, which whoever comes first writes and all others read.
 */
#ifndef RD_SRC_TICKETS_H
#define RD_SRC_TICKETS_H

#include <redistribute/error.h>
#include <redistribute/slice.h>

#include <stdbool.h>
#include <stdint.h>

#define RD_TICKET_PERIOD_S 43200 /* tickets are given by one key so long */
#define RD_TICKET_NAME     16    /* bytes of a key's name */

struct rd_ticket_key {
	unsigned char name[RD_TICKET_NAME]; /* in the ticket, in the clear */
	unsigned char cipher[32];           /* AES-256 */
	unsigned char mac[32];              /* HMAC-SHA-256 */
};

struct rd_tickets;

/* Where a file cannot be written or read, a key of this process' own takes its
 * place, and the log says so. */
struct rd_tickets *rd_tickets_new(const char *data_dir);
/* The keys in memory are overwritten. */
void rd_tickets_free(struct rd_tickets **tickets);
/* The key to give tickets by at this time (Unix seconds), borrowed until the
 * next call. */
const struct rd_ticket_key *rd_tickets_now(struct rd_tickets *t,
					   uint64_t unix_s);
/* The key of this name, of this period or the one before, or NULL.  Borrowed
 * until the next call; old_out: of the one before, so give a new ticket. */
const struct rd_ticket_key *rd_tickets_find(
    struct rd_tickets *t, uint64_t unix_s,
    const unsigned char name[RD_TICKET_NAME], bool *old_out);

#endif
