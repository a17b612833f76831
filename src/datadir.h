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

/*
 * Takes the lock, <data_dir>/lock; it lasts as long as any process has *fd_out
 * or a copy of it open.  RD_EEXIST with why where another one holds it (after
 * a second of grace, in which what a killed one has left may end), RD_ECONFIG
 * where there can be no lock.
 */
RD_MUST_CHECK int rd_datadir_lock(const struct rd_config *cfg, int *fd_out,
				  struct rd_buf *why);
/* Does somebody hold it? */
bool rd_datadir_is_locked(const struct rd_config *cfg);

#endif
