/* SPDX-License-Identifier: MIT */
/*
 * repair.h -- the append-only file of the embedded Redis, before each start.
 */
#ifndef RD_SRC_REPAIR_H
#define RD_SRC_REPAIR_H

#include "src/config.h"

/* The program that does it: beside the server, or on PATH; the caller's to
 * free.  RD_ENOTFOUND with why. */
RD_MUST_CHECK int rd_repair_find(const char *server, char **path_out,
				 struct rd_buf *why);
/*
 * Cuts off what a crash has left half written.  In the child that is about to
 * become the server, whose path this is: it takes as long as it takes, and
 * says on stderr what it did.
 */
void rd_repair(const struct rd_config *cfg, const char *server);
/* Is somebody at it now? */
bool rd_repair_is_busy(const struct rd_config *cfg);

#endif
