/* SPDX-License-Identifier: MIT */
/*
 * datadir.h -- the data directory: made, found, and locked by one supervisor.
 */
#ifndef RD_SRC_DATADIR_H
#define RD_SRC_DATADIR_H

#include <stdbool.h>

#include "src/config.h"

/*
 * Makes the directory that cfg names (mode 0700) and what leads to it, and
 * replaces the name in cfg by the absolute one.  RD_ECONFIG with why.
 */
RD_MUST_CHECK int rd_datadir_make(struct rd_config *cfg, struct rd_buf *why);
/* Only the name, where the directory is there. */
void rd_datadir_absolute(struct rd_config *cfg);

#define RD_MARK_LEN 10 /* hexadecimal digits */
#define RD_MARKS    4  /* ours, and those of the latest before us */

/* What a supervisor has, and knows, who holds the lock. */
struct rd_tenure {
	int lock_fd;    /* of <data_dir>/lock; -1: not held */
	int workers_fd; /* of <data_dir>/workers: for workers to keep open */
	/* Names of this life and of the lives before, each drawn at random;
	 * separated by blanks, ours first. */
	char marks[RD_MARKS * (RD_MARK_LEN + 1)];
	bool alone; /* no worker of a life before ours is left */
};

/*
 * Takes the lock, <data_dir>/lock; it lasts as long as any process has lock_fd
 * or a copy of it open.  RD_EEXIST with why where another one holds it (after
 * a second of grace, in which what a killed one has left may end), RD_ECONFIG
 * where there can be no lock.
 */
RD_MUST_CHECK int rd_datadir_lock(const struct rd_config *cfg,
				  struct rd_tenure *tenure_out,
				  struct rd_buf *why);
/* The same for who is no supervisor and only wants none to run meanwhile: the
 * descriptor, to be closed; errors as above. */
RD_MUST_CHECK int rd_datadir_seize(const struct rd_config *cfg,
				   struct rd_buf *why);
/* Lets go of it, but for copies. */
void rd_datadir_unlock(struct rd_tenure *tenure);
/* Does somebody hold it? */
bool rd_datadir_is_locked(const struct rd_config *cfg);

#endif
