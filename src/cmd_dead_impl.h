/* SPDX-License-Identifier: MIT */
/*
 * cmd_dead_impl.h -- what the files of `redistribute dead` share.
 *
 * A letter is an entry of <prefix>:dead:<team>: the original fields, and behind
 * them, in this order, channel, id, deliveries, reason, error, worker, time.
 */
#ifndef RD_SRC_CMD_DEAD_IMPL_H
#define RD_SRC_CMD_DEAD_IMPL_H

#include "src/cli_fleet.h"

#define RD_LETTER_PAGE 500 /* that are read at once */

struct rd_dead {
	struct rd_cli cli;
	struct rd_ask *ask;         /* owned */
	const struct rd_verb *verb; /* borrowed */
	const char *team;           /* whose letters */
	const char *count;          /* the last so many; NULL: all */
	bool json;
	bool all;       /* every letter, instead of those that are named */
	bool yes;       /* do not ask */
	bool republish; /* what is gone from its channel, too */
	char **words;   /* borrowed: ids */
	int word_count;
	struct rd_buf key; /* of the letters */
	struct rd_buf out;
};

struct rd_letter {
	struct rd_id id; /* its own */
	/* All borrowed from the reply; empty where it is no letter of ours. */
	struct rd_slice channel;
	struct rd_slice original; /* id in the channel */
	struct rd_slice deliveries;
	struct rd_slice reason;
	struct rd_slice error;
	struct rd_slice worker;
	uint64_t time_ms;              /* when it was buried; 0: not known */
	const struct rd_reply *fields; /* names and values in turn */
	size_t field_count;            /* of those that are the original's */
};

/* Understands [id, [name, value, ...]]. */
void rd_letter_read(const struct rd_reply *entry, struct rd_letter *letter_out);
/* One page of letters, from an id on ("-", "(<id>") up to another. */
RD_MUST_CHECK int rd_dead_page(struct rd_dead *d, const char *from,
			       const char *to,
			       const struct rd_reply **page_out);
/* The id of the newest; RD_ENOTFOUND where there is none (said), or another
 * error (said): *status_out is the exit status. */
RD_MUST_CHECK int rd_dead_last(struct rd_dead *d, struct rd_id *last_out,
			       int *status_out);

/* The exit status. */
int rd_dead_retry(struct rd_dead *d);
int rd_dead_drop(struct rd_dead *d);

#endif
