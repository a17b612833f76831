/* SPDX-License-Identifier: MIT */
/*
 * handlers.c -- find the handler that --handler names; see handlers.h.
 *
 * A built-in one is a struct rd_handler like anybody's; handlers/ holds one
 * file for each, which knows nothing of the worker but the public headers.
 */
#include "workers/handlers.h"
#include "src/config.h"
#include "src/spec.h"
#include "workers/so.h"

#include <redistribute/handler.h>

extern const struct rd_handler rd_handler_audit;
extern const struct rd_handler rd_handler_log;
extern const struct rd_handler rd_handler_relay;
extern const struct rd_handler rd_handler_statistic;

static const struct rd_handler *const built_in[] = {
    &rd_handler_audit,
    &rd_handler_log,
    &rd_handler_relay,
    &rd_handler_statistic,
};

static const struct rd_handler *find_built_in(struct rd_slice name)
{
	for (size_t i = 0; i < sizeof(built_in) / sizeof(*built_in); i++)
		if (rd_slice_is(name, built_in[i]->name))
			return built_in[i];
	return NULL;
}

int rd_handlers_open(struct rd_loop *loop, const struct rd_config *cfg,
		     const struct rd_runner_ops *ops, void *arg,
		     struct rd_runner **runner_out, struct rd_buf *why)
{
	struct rd_spec spec = rd_spec_read(cfg->handler);
	const struct rd_handler *handler = NULL;

	switch (spec.kind) {
	case RD_SPEC_EXEC:
		*runner_out =
		    rd_exec_open(loop, spec.args,
				 (uint64_t)cfg->handler_timeout_ms, ops, arg);
		return RD_OK;
	case RD_SPEC_FILE:
		if (rd_so_open(spec.name, &handler, why) != RD_OK)
			return RD_ECONFIG;
		break;
	case RD_SPEC_BUILT_IN:
		handler = find_built_in(spec.name);
		break;
	case RD_SPEC_UNKNOWN:
		break;
	}
	if (handler == NULL) {
		rd_buf_addf(
		    why, "handler: expected " RD_SPEC_EXPECTED ", found \"%s\"",
		    cfg->handler);
		return RD_ECONFIG;
	}
	return rd_thread_open(loop, cfg, handler, spec.args, ops, arg,
			      runner_out, why);
}
