/* SPDX-License-Identifier: MIT */
/*
 * accounts.h -- what somebody owes, also while no connection of his is open.
 *
 * A limit that a client would escape by coming back is kept by address or by
 * identity: an account for each key, with a token bucket and a number of what
 * was taken since it began.  At most so many accounts are kept; then the one
 * that was used longest ago goes, so that somebody with very many addresses
 * costs no memory either.
 */
#ifndef RD_GATEWAY_ACCOUNTS_H
#define RD_GATEWAY_ACCOUNTS_H

#include "gateway/limits.h"
#include "src/map.h"

struct rd_account {
	struct rd_map_node node;
	struct rd_list link;     /* of all, longest unused first */
	struct rd_bucket bucket; /* the owner's, as what follows */
	uint64_t from_ms;        /* when it began */
	uint64_t taken;          /* since then */
	size_t len;              /* of key */
	char key[];
};

struct rd_accounts {
	struct rd_map map;
	struct rd_list order;
	uint64_t keep_ms; /* an account lasts so long, and until its bucket is
			   * full */
};

void rd_accounts_init(struct rd_accounts *all, uint64_t keep_ms);
void rd_accounts_fini(struct rd_accounts *all);
/* NULL where there is none. */
struct rd_account *rd_accounts_find(const struct rd_accounts *all,
				    struct rd_slice key);
/* The same, made where there is none or where it has lasted long enough.  It is
 * the last of all that may go. */
struct rd_account *rd_accounts_use(struct rd_accounts *all, struct rd_slice key,
				   uint64_t now_ms);

#endif
