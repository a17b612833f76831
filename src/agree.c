/* SPDX-License-Identifier: MIT */
/*
 * agree.c -- what all gateways must agree on; see agree.h.
 *
 * The rules stand in Redis as text, one setting a line, in the order that they
 * hold in and with one blank between words: so that two gateways whose files
 * differ in blanks and comments alone agree.  What is there may have been
 * written by anybody, so it is shown without its control characters, and no
 * more of it than a sentence can hold.
 */
#include "src/agree.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/rules.h"
#include "src/script.h"

#include <stdlib.h>

#define SHOWN_MAX 1000 /* bytes of either, in a sentence */

struct request {
	rd_agree_fn *fn; /* borrowed */
	void *arg;
	const struct rd_config *cfg; /* borrowed */
	struct rd_buf rules;         /* as they go to Redis */
};

static void add_line(struct rd_buf *out, const char *name, const char *value)
{
	rd_buf_addf(out, "%s%s = %s", out->len > 0 ? "\n" : "", name, value);
}

static void add_rules(struct rd_buf *out, const struct rd_config *cfg)
{
	struct rd_buf rule = RD_BUF_INIT;

	add_line(out, "events", cfg->events);
	add_line(out, "connect", cfg->connect);
	add_line(out, "rule-default", cfg->rule_default);
	for (int i = 0; i < cfg->rule.count; i++) {
		rd_buf_clear(&rule);
		rd_rules_normal(cfg->rule.items[i], &rule);
		add_line(out, "rule", rd_buf_text(&rule));
	}
	rd_buf_fini(&rule);
}

/* Appends lines of whatever origin: "events = ev; connect = handler". */
static void add_clean(struct rd_buf *out, struct rd_slice text)
{
	bool cut = text.len > SHOWN_MAX;

	if (cut)
		text.len = SHOWN_MAX;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c == '\n')
			rd_buf_adds(out, "; ");
		else
			rd_buf_addc(out,
				    c < 0x20 || c == 0x7f ? '?' : text.data[i]);
	}
	if (cut)
		rd_buf_adds(out, "...");
}

static void log_replaced(const struct request *r, struct rd_slice was)
{
	struct rd_buf old = RD_BUF_INIT, new = RD_BUF_INIT;

	add_clean(&old, was);
	add_clean(&new, rd_buf_slice(&r->rules));
	rd_log(RD_LOG_WARN, "rules.replaced", "was=%s is=%s", rd_buf_text(&old),
	       rd_buf_text(&new));
	rd_buf_fini(&old);
	rd_buf_fini(&new);
}

/* The script's answer, as an error and a sentence. */
static int judge(const struct request *r, const struct rd_reply *reply,
		 struct rd_buf *why)
{
	struct rd_slice outcome = rd_reply_str(rd_reply_at(reply, 0));
	struct rd_slice was = rd_reply_str(rd_reply_at(reply, 1));
	int err = RD_ECONFIG;

	if (rd_slice_is(outcome, "agreed") || rd_slice_is(outcome, "new")) {
		rd_buf_adds(why, rd_slice_is(outcome, "new")
				     ? "no gateway was here before; from now "
				       "on: "
				     : "as all gateways: ");
		add_clean(why, rd_buf_slice(&r->rules));
		return RD_OK;
	}
	rd_buf_adds(why, "the gateways of this Redis keep to \"");
	add_clean(why, was);
	if (r->cfg->replace_rules) {
		if (rd_slice_is(outcome, "replaced"))
			log_replaced(r, was);
		rd_buf_adds(why, "\", which is replaced by \"");
		err = RD_OK;
	} else {
		rd_buf_adds(why, "\", but here is configured \"");
	}
	add_clean(why, rd_buf_slice(&r->rules));
	rd_buf_adds(why, err == RD_OK
			     ? "\""
			     : "\"; start with --replace-rules to change it");
	return err;
}

static void request_free(void *arg)
{
	struct request *r = arg;

	rd_buf_fini(&r->rules);
	free(r);
}

static void answered(void *arg, int err, const struct rd_reply *reply)
{
	struct request *r = arg;
	struct rd_buf why = RD_BUF_INIT;

	if (err == RD_OK)
		err = judge(r, reply, &why);
	else if (err == RD_EREDIS)
		rd_buf_addslice(&why, reply->str);
	else
		rd_buf_adds(&why, rd_strerror(err));
	r->fn(r->arg, err, rd_buf_text(&why));
	rd_buf_fini(&why);
	request_free(r);
}

static int call(struct rd_redis *link, const struct rd_config *cfg,
		const char *verb, rd_agree_fn *fn, void *arg)
{
	struct request *r = rd_new(struct request);
	struct rd_buf key = RD_BUF_INIT;
	struct rd_slice keys[1], args[2];
	int err;

	*r = (struct request){.fn = fn, .arg = arg, .cfg = cfg};
	add_rules(&r->rules, cfg);
	rd_key_global(&key, cfg->prefix, "rules");
	keys[0] = rd_buf_slice(&key);
	args[0] = rd_buf_slice(&r->rules);
	args[1] = rd_slice_str(verb);
	err = rd_script_call_owned(link, RD_SCRIPT_RULES, keys, 1, args, 2,
				   answered, r, request_free);
	if (err != RD_OK)
		request_free(r);
	rd_buf_fini(&key);
	return err;
}

int rd_agree_join(struct rd_redis *link, const struct rd_config *cfg,
		  rd_agree_fn *fn, void *arg)
{
	return call(link, cfg, cfg->replace_rules ? "replace" : "join", fn,
		    arg);
}

int rd_agree_ask(struct rd_redis *link, const struct rd_config *cfg,
		 rd_agree_fn *fn, void *arg)
{
	return call(link, cfg, "ask", fn, arg);
}
