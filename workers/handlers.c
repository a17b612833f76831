/* SPDX-License-Identifier: MIT */
/*
 * handlers.c -- find the handler that --handler names; see handlers.h.
 *
 * A built-in one is a struct rd_handler like anybody's; handlers/ holds one
 * file for each, which knows nothing of the worker but the public headers.
 */
#include "workers/handlers.h"

#include <redistribute/handler.h>

#include <string.h>

extern const struct rd_handler rd_handler_log;
extern const struct rd_handler rd_handler_statistic;

static const struct rd_handler *const built_in[] = {
    &rd_handler_log,
    &rd_handler_statistic,
};

int rd_handlers_open(struct rd_loop *loop, const char *spec,
		     uint64_t timeout_ms, const struct rd_runner_ops *ops,
		     void *arg, struct rd_runner **runner_out,
		     struct rd_buf *why)
{
	size_t len = strcspn(spec, ":");
	struct rd_slice name = {spec, len};
	const char *args = spec[len] == ':' ? spec + len + 1 : "";

	if (rd_slice_is(name, "exec") && *args != '\0') {
		*runner_out = rd_exec_open(loop, args, timeout_ms, ops, arg);
		return RD_OK;
	}
	for (size_t i = 0; i < sizeof(built_in) / sizeof(*built_in); i++)
		if (rd_slice_is(name, built_in[i]->name))
			return rd_thread_open(loop, built_in[i], args,
					      timeout_ms, ops, arg, runner_out,
					      why);
	rd_buf_addf(why,
		    "handler: expected log, statistic[:fields=a+b,to=CHANNEL] "
		    "or exec:COMMAND, found \"%s\"",
		    spec);
	return RD_ECONFIG;
}
