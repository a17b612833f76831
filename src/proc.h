/* SPDX-License-Identifier: MIT */
/*
 * proc.h -- the child's half of supervision.
 *
 * A gateway or worker may have been started by the supervisor or by hand.  By
 * the supervisor it gets --index N (its place among its like) and --ready-fd
 * FD; it dies with its parent (PR_SET_PDEATHSIG), and says on FD how it is, in
 * single bytes:
 *
 *	R	ready
 *	.	its loop turns; several times in each `watchdog`
 *	!	if it ends now, the cause is known and counted
 *	-	no longer so
 *
 * None of them is ever waited for.
 */
#ifndef RD_SRC_PROC_H
#define RD_SRC_PROC_H

#include "src/config.h"
#include "src/loop.h"

/* sysexits(3); a supervisor starts a child that ended with RD_EXIT_USAGE or
 * RD_EXIT_CONFIG no second time, and one that ended with RD_EXIT_RECYCLE, as
 * it has done enough (max-messages, max-memory), at once. */
#define RD_EXIT_OK          0
#define RD_EXIT_FAILED      1
#define RD_EXIT_RECYCLE     10
#define RD_EXIT_USAGE       64
#define RD_EXIT_UNAVAILABLE 69
#define RD_EXIT_CONFIG      78

struct rd_proc {
	struct rd_config cfg; /* loaded, resolved and checked */
	int index;            /* --index, or 0 */
	int ready_fd;         /* --ready-fd, or -1 */
	bool said_ready;
	struct rd_timer beat; /* of rd_proc_watch(); loop NULL: not started */
	struct rd_loop *loop; /* borrowed */
};

/*
 * Loads the configuration, starts the log under this role and ties the process
 * to its parent.  On failure a sentence stands on stderr and the exit status
 * is in *status_out; also after --help and --version, where it is 0.
 */
RD_MUST_CHECK int rd_proc_init(struct rd_proc *proc, const char *role, int argc,
			       char **argv, int *status_out);
void rd_proc_fini(struct rd_proc *proc);
/* Ready: logs event=ready and tells the parent, once. */
void rd_proc_ready(struct rd_proc *proc);
/* From now on tells the parent that this loop turns, until rd_proc_rest(). */
void rd_proc_watch(struct rd_proc *proc, struct rd_loop *loop);
/* The loop is going to be freed.  Harmless where it was not watched. */
void rd_proc_rest(struct rd_proc *proc);
/* From now on (or no longer) an end of this process has a cause that is known,
 * and counted where it belongs: the parent need not slow down the next. */
void rd_proc_at_risk(struct rd_proc *proc, bool at_risk);
/*
 * A copy of argv, ours for the life of the process.  The words themselves,
 * which every user of the machine can read, lose what is behind --targets at
 * once. The first call of a program; rd_proc_init() makes it by itself.
 */
char **rd_proc_words(int argc, char **argv);
/* For ps(1): "redistribute-gateway 0: 12 clients". */
void rd_proc_title(const char *fmt, ...) RD_PRINTF(1, 2);

/* Bytes of memory that this process has resident; 0 where nobody tells. */
uint64_t rd_proc_resident(void);
/* Raises the soft limit of open files to the hard one; returns it. */
long rd_proc_raise_files(void);

#endif
