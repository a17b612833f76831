/* SPDX-License-Identifier: MIT */
/*
 * handlers.h -- the handlers that are built in, and what --handler names.
 */
#ifndef RD_WORKERS_HANDLERS_H
#define RD_WORKERS_HANDLERS_H

#include "workers/runner.h"

struct rd_config;

/*
 * Opens what cfg->handler names.  RD_ECONFIG with a sentence in why where there
 * is no such handler, it refuses its arguments, or cfg's own rules ask it about
 * events that it cannot answer.  cfg is borrowed.
 */
RD_MUST_CHECK int rd_handlers_open(struct rd_loop *loop,
				   const struct rd_config *cfg,
				   const struct rd_runner_ops *ops, void *arg,
				   struct rd_runner **runner_out,
				   struct rd_buf *why);

/* What that would say before it opens anything: the handler is not run. */
RD_MUST_CHECK int rd_handlers_check(const struct rd_config *cfg,
				    struct rd_buf *why);

#endif
