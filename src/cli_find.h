/* SPDX-License-Identifier: MIT */
/*
 * cli_find.h -- the supervisor that a verb is about, where nobody names it.
 */
#ifndef RD_SRC_CLI_FIND_H
#define RD_SRC_CLI_FIND_H

#include "src/cli.h"

/*
 * Completes what was read of a command line (argv from 1 on) by what the
 * supervisor that is meant says of itself.  RD_OK, also where none runs;
 * RD_EEXIST with why where several do.
 */
RD_MUST_CHECK int rd_cli_find(struct rd_cli *cli, int argc, char **argv,
			      struct rd_buf *why);
/* Appends what may help whoever was told that Redis cannot be reached. */
void rd_cli_hint(const struct rd_cli *cli, struct rd_buf *out);

#endif
