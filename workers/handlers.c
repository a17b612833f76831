/* SPDX-License-Identifier: MIT */
/*
 * handlers.c -- find the handler that --handler names; see handlers.h.
 *
 * A built-in one is a struct rd_handler like anybody's; handlers/ holds one
 * file for each, which knows nothing of the worker but the public headers.
 */
#include "workers/handlers.h"
#include "src/config.h"
#include "src/glob.h"
#include "src/rules.h"
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

/* Finds it without opening it; of exec, NULL. */
static int find(const struct rd_config *cfg, const struct rd_spec *spec,
		const struct rd_handler **handler_out, struct rd_buf *why)
{
	*handler_out = NULL;
	if (spec->kind == RD_SPEC_EXEC)
		return RD_OK;
	if (spec->kind == RD_SPEC_FILE)
		return rd_so_open(spec->name, handler_out, why);
	if (spec->kind == RD_SPEC_BUILT_IN)
		*handler_out = find_built_in(spec->name);
	if (*handler_out != NULL)
		return RD_OK;
	rd_buf_addf(why, "handler: expected " RD_SPEC_EXPECTED ", found \"%s\"",
		    cfg->handler);
	return RD_ECONFIG;
}

static bool consumes(const struct rd_config *cfg, struct rd_slice channel)
{
	for (int i = 0; i < cfg->consume.count; i++) {
		struct rd_slice item = rd_slice_str(cfg->consume.items[i]);

		if (rd_glob_is_pattern(item) ? rd_glob_match(item, channel)
					     : rd_slice_eq(item, channel))
			return true;
	}
	return false;
}

/* What the rules of this configuration ask, and the handler has no function
 * for, would always be refused. */
static int judge_events(const struct rd_config *cfg, const struct rd_handler *h,
			struct rd_buf *why)
{
	const struct {
		const char *name;
		bool asked, there;
		enum rd_deed deed;
	} events[] = {
	    {"connect", !strcmp(cfg->connect, "handler"), h->connect != NULL,
	     RD_DEEDS},
	    {"subscribe", false, h->subscribe != NULL, RD_DEED_SUBSCRIBE},
	    {"publish", false, h->publish != NULL, RD_DEED_PUBLISH},
	    {"call", false, h->call != NULL, RD_DEED_CALL},
	};
	struct rd_rules *rules = NULL;
	unsigned asks;
	size_t before = why->len;

	if (*cfg->events == '\0' || !consumes(cfg, rd_slice_str(cfg->events)))
		return RD_OK;
	if (rd_rules_parse(cfg, &rules, why) != RD_OK)
		return RD_ECONFIG;
	asks = rd_rules_asks(rules);
	rd_rules_free(&rules);
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		if (!events[i].there &&
		    (events[i].asked || asks & 1u << events[i].deed))
			rd_buf_addf(why, "%s%s", why->len == before ? "" : ", ",
				    events[i].name);
	return why->len == before ? RD_OK : RD_ECONFIG;
}

int rd_handlers_check(const struct rd_config *cfg, struct rd_buf *why)
{
	struct rd_spec spec = rd_spec_read(cfg->handler);
	const struct rd_handler *handler;
	struct rd_buf missing = RD_BUF_INIT;
	int err = find(cfg, &spec, &handler, why);

	if (err == RD_OK && handler != NULL) {
		err = judge_events(cfg, handler, &missing);
		if (err != RD_OK)
			rd_buf_addf(why,
				    "handler: %s of team %s has no function "
				    "%s, and rule or connect ask it through "
				    "the channel %s: all of that would be "
				    "refused",
				    cfg->handler, cfg->team,
				    rd_buf_text(&missing), cfg->events);
	}
	rd_buf_fini(&missing);
	return err;
}

int rd_handlers_open(struct rd_loop *loop, const struct rd_config *cfg,
		     const struct rd_runner_ops *ops, void *arg,
		     struct rd_runner **runner_out, struct rd_buf *why)
{
	struct rd_spec spec = rd_spec_read(cfg->handler);
	const struct rd_handler *handler;

	if (rd_handlers_check(cfg, why) != RD_OK ||
	    find(cfg, &spec, &handler, why) != RD_OK)
		return RD_ECONFIG;
	if (handler != NULL)
		return rd_thread_open(loop, cfg, handler, spec.args, ops, arg,
				      runner_out, why);
	*runner_out = rd_exec_open(loop, cfg, spec.args, ops, arg);
	return RD_OK;
}
