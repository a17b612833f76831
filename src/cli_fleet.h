/* SPDX-License-Identifier: MIT */
/*
 * cli_fleet.h -- what the verbs share that look after a fleet: counting it
 * while the operator waits, many commands at once, questions, progress.
 */
#ifndef RD_SRC_CLI_FLEET_H
#define RD_SRC_CLI_FLEET_H

#include "src/census.h"
#include "src/cli.h"
#include "src/show.h"

/* Says what went wrong with a question; the exit status for it. */
int rd_cli_redis_fail(int err, const struct rd_reply *reply);
/* Is there such a team, or one whose settings or dead letters stand?  The exit
 * status; where not, it has been said which there are. */
int rd_cli_check_team(struct rd_ask *ask, const struct rd_config *cfg,
		      const char *team);
/* Columns of the terminal that stdout is; 0: it is none. */
size_t rd_cli_width(void);
/* Prints and forgets what out holds; the exit status: failed where nobody
 * reads it. */
int rd_cli_print(struct rd_buf *out);
/* Asks for a yes on the terminal; without one it says that --yes is needed.
 * The exit status, RD_EXIT_OK for a yes. */
int rd_cli_confirm(const char *question);

/* On stderr, where that is a terminal, from the second second on.  Zero it. */
struct rd_progress {
	uint64_t begun_ms; /* our clock; 0: not begun */
	uint64_t shown_ms; /* when it was shown last; 0: never */
};
/* what: "channels"; of: 0 where that is not known. */
void rd_progress_show(struct rd_progress *p, const char *what, uint64_t done,
		      uint64_t of);
void rd_progress_end(struct rd_progress *p);

/*
 * Counts the fleet; of ops, wants and channel are used and may be NULL.  The
 * exit status; else what is wrong has been said.  Free the census after ask was
 * closed, in all cases.
 */
int rd_cli_census(struct rd_ask *ask, const char *prefix, bool with_channels,
		  const struct rd_census_ops *ops, void *arg,
		  struct rd_census **census_out);

/* Many commands whose answers matter only where they are errors, a bounded
 * number under way.  Zero it but for ask. */
struct rd_bulk {
	struct rd_ask *ask; /* borrowed */
	size_t flying;      /* commands under way */
	bool room;          /* few enough of them for more */
	bool none;          /* there are none */
	int err;            /* the first error, RD_OK: none */
	char why[256];      /* what it says */
};
/* Waits until there is room for one more; its answer then goes to
 * rd_bulk_answer with the bulk as arg, also by the caller's own callback. */
RD_MUST_CHECK int rd_bulk_room(struct rd_bulk *b);
void rd_bulk_sent(struct rd_bulk *b, int err);
void rd_bulk_answer(void *arg, int err, const struct rd_reply *reply);
/* Waits for all; the exit status: what is wrong has been said.  Without this,
 * ask must be closed before the bulk goes. */
int rd_bulk_end(struct rd_bulk *b);

/* The members of a JSON object about a team, without its braces. */
void rd_cli_team_json(const struct rd_fleet *f, const struct rd_team_row *team,
		      struct rd_buf *out);
/* lag, at_least, pending, oldest of one group, likewise. */
void rd_cli_backlog_json(const struct rd_backlog *b, uint64_t now_ms,
			 struct rd_buf *out);
/* The table's next cell: a lag, with a + behind where it is at least that; the
 * age of the oldest, - for none. */
void rd_cli_add_lag(struct rd_table *t, const struct rd_backlog *b);
void rd_cli_add_oldest(struct rd_table *t, const struct rd_backlog *b,
		       uint64_t now_ms);
/* Appends what is paused, separated by ", "; nothing where nothing is. */
void rd_cli_add_paused(struct rd_buf *out, const struct rd_team_row *team);

#endif
