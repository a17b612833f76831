/* SPDX-License-Identifier: MIT */
/*
 * handlers.h -- the handlers that are built in, and what --handler names.
 */
#ifndef RD_WORKERS_HANDLERS_H
#define RD_WORKERS_HANDLERS_H

#include "workers/runner.h"

/*
 * Opens what a specification names: "log", "statistic[:ARGS]" or
 * "exec:COMMAND".  RD_ECONFIG with a sentence in why for anything else.  spec
 * is borrowed.
 */
RD_MUST_CHECK int rd_handlers_open(struct rd_loop *loop, const char *spec,
				   uint64_t timeout_ms,
				   const struct rd_runner_ops *ops, void *arg,
				   struct rd_runner **runner_out,
				   struct rd_buf *why);

#endif
