/* SPDX-License-Identifier: MIT */
/*
 * rediscli.h -- redis-cli on the Redis of this configuration.
 */
#ifndef RD_SRC_REDISCLI_H
#define RD_SRC_REDISCLI_H

#include "src/config.h"
#include "src/uri.h"

/* redis-cli or valkey-cli on PATH; the caller's to free.  RD_ENOTFOUND with
 * why. */
RD_MUST_CHECK int rd_rediscli_find(char **path_out, struct rd_buf *why);
/*
 * Becomes that program, on the server that uri names, with count words behind
 * its own flags.  Returns only where it cannot be executed.
 */
void rd_rediscli_become(const char *path, const struct rd_config *cfg,
			const struct rd_uri *uri, char *const *words,
			int count);

#endif
