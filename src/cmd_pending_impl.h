/* SPDX-License-Identifier: MIT */
/*
 * cmd_pending_impl.h -- what the two files of `redistribute pending` share.
 */
#ifndef RD_SRC_CMD_PENDING_IMPL_H
#define RD_SRC_CMD_PENDING_IMPL_H

#include "src/cli_fleet.h"

struct rd_pending_row {
	char *channel; /* owned; len bytes */
	size_t len;
	struct rd_reply *numbers; /* owned: of numbers.lua */
};

struct rd_pendings {
	struct rd_cli cli;
	struct rd_ask *ask;           /* owned */
	struct rd_census *census;     /* owned */
	const struct rd_fleet *fleet; /* the census'; borrowed */
	const char *team;             /* this one only; NULL: all */
	bool json;
	struct rd_pending_row
	    *rows; /* owned; count of them: those with any pending */
	size_t count, cap;
	struct rd_table table;
	struct rd_buf out;
	bool any; /* an object was printed: a comma comes first */
};

/* Is this group asked for? */
bool rd_pendings_want(const struct rd_pendings *s,
		      const struct rd_group_row *group);
/* "live", "dead", or "retry" for those that wait in nobody's hands. */
const char *rd_pendings_state(const struct rd_pendings *s, struct rd_slice team,
			      struct rd_slice consumer);
/* Begins the next object of a JSON list. */
void rd_pendings_object(struct rd_pendings *s);
/* Prints what was gathered; the exit status. */
int rd_pendings_finish(struct rd_pendings *s);
/* The entries of one channel; the exit status. */
int rd_pendings_show_one(struct rd_pendings *s, struct rd_slice channel);

#endif
