/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h -- the data files of the embedded Redis: whether it would load
 * what stands there, and how a snapshot is put in their place.
 */
#ifndef RD_SRC_SNAPSHOT_H
#define RD_SRC_SNAPSHOT_H

#include <stdbool.h>

#include "src/config.h"

/* Would the embedded Redis ignore data that stand in the data directory?
 * RD_ECONFIG with why, and with what to do. */
RD_MUST_CHECK int rd_snapshot_check(const struct rd_config *cfg,
				    struct rd_buf *why);
/* Is there anything that this snapshot, open for reading, would replace? */
bool rd_snapshot_replaces(const struct rd_config *cfg, int fd);
/*
 * Is the file a whole snapshot?  RD_OK; RD_EFORMAT with what it is instead in
 * why; RD_ENOTFOUND with why where nothing is installed that could tell.
 */
RD_MUST_CHECK int rd_snapshot_verify(const struct rd_config *cfg,
				     const char *file, struct rd_buf *why);
/*
 * Makes a verified snapshot all that the embedded Redis loads at its next
 * start, under a new epoch.  The file stands in the data directory, whose lock
 * the caller holds, is open at fd for writing, and is gone afterwards.  Either
 * the old data are in force then, or the new ones: RD_EIO with why.
 */
RD_MUST_CHECK int rd_snapshot_install(const struct rd_config *cfg,
				      const char *file, int fd,
				      struct rd_buf *why);
/* Makes what was renamed or created in a directory last; false with errno. */
RD_MUST_CHECK bool rd_sync_directory(const char *path);

#endif
