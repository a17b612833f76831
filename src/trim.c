/* SPDX-License-Identifier: MIT */
/*
 * trim.c -- make channels shorter, never past unfinished work; see trim.h.
 *
 * Who holds a channel is in a register that is read again when it is older than
 * a second; the calls of that moment wait for it (holders.c).
 *
 * A team that nobody was alive in for team-expire holds nothing back any
 * more.  That it loses messages by it is the one thing here that an operator
 * must hear of.
 *
 * Not here: when to trim (publisher.c, keeper_scan.c).
 */
#include "src/trim.h"
#include "src/clock.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TELL_EACH_MS 60000
#define WAITING_MAX  10000

struct trim_call {
	struct rd_list link; /* on the list of those that wait */
	rd_reply_fn *fn;     /* the caller's */
	void *arg;
	size_t len; /* of channel; 0: it only wants to know that it is */
	char channel[];
};

static int trim_call(struct rd_trim *t, struct rd_slice channel,
		     rd_reply_fn *fn, void *arg)
{
	struct rd_slice key;
	const struct rd_slice *holders;
	size_t n;

	holders = rd_holders_args(t->holders, channel, &n);
	if (n + 1 > t->arg_cap) {
		t->arg_cap = n + 1;
		t->args = rd_realloc(t->args, t->arg_cap * sizeof(*t->args));
	}
	t->args[0] = rd_slice_str(t->maxlen);
	memcpy(t->args + 1, holders, n * sizeof(*holders));
	rd_key_channel(&t->key, t->prefix, channel);
	key = rd_buf_slice(&t->key);
	return rd_script_call(t->link, RD_SCRIPT_TRIM, &key, 1, t->args, n + 1,
			      fn, arg);
}

static void on_holders(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_trim *t = arg;
	size_t n = t->waiting_count; /* what is asked meanwhile comes behind */

	t->eager = false;
	for (; n > 0; n--) {
		struct trim_call *call = rd_list_item(
		    rd_list_shift(&t->waiting), struct trim_call, link);
		struct rd_slice channel = {call->channel, call->len};
		int sent = err;

		t->waiting_count--;
		if (err == RD_OK && channel.len > 0)
			sent = trim_call(t, channel, call->fn, call->arg);
		if (sent != RD_OK && sent != RD_EREDIS)
			sent = RD_EUNKNOWN;
		if (sent != RD_OK || channel.len == 0)
			call->fn(call->arg, sent, reply);
		free(call);
	}
}

void rd_trim_init(struct rd_trim *t, struct rd_redis *link, const char *prefix,
		  const struct rd_config *cfg)
{
	*t = (struct rd_trim){.link = link, .prefix = prefix};
	snprintf(t->maxlen, sizeof(t->maxlen), "%" PRId64, cfg->maxlen);
	rd_list_init(&t->waiting);
	t->holders =
	    rd_holders_new(link, prefix, cfg->team_expire_ms, on_holders, t);
}

void rd_trim_fini(struct rd_trim *t)
{
	struct rd_list *first;

	while ((first = rd_list_shift(&t->waiting)) != NULL)
		free(rd_list_item(first, struct trim_call, link));
	rd_holders_free(&t->holders);
	rd_buf_fini(&t->key);
	free(t->args);
}

static int trim_wait(struct rd_trim *t, struct rd_slice channel,
		     rd_reply_fn *fn, void *arg)
{
	struct trim_call *call;
	int err;

	if (t->waiting_count >= WAITING_MAX)
		return RD_ELIMIT;
	err = rd_holders_read(t->holders);
	if (err != RD_OK)
		return err;
	call = rd_zalloc(sizeof(*call) + channel.len);
	call->fn = fn;
	call->arg = arg;
	call->len = channel.len;
	memcpy(call->channel, channel.data, channel.len);
	rd_list_init(&call->link);
	rd_list_push(&t->waiting, &call->link);
	t->waiting_count++;
	return RD_OK;
}

int rd_trim_wait(struct rd_trim *t, rd_reply_fn *fn, void *arg)
{
	return trim_wait(t, (struct rd_slice){"", 0}, fn, arg);
}

int rd_trim_send(struct rd_trim *t, struct rd_slice channel, rd_reply_fn *fn,
		 void *arg)
{
	if (rd_holders_fresh(t->holders, t->eager))
		return trim_call(t, channel, fn, arg);
	return trim_wait(t, channel, fn, arg);
}

void rd_trim_read(struct rd_trim *t, struct rd_slice channel,
		  const struct rd_reply *reply, struct rd_trimmed *trimmed_out)
{
	const struct rd_reply *passed = rd_reply_at(reply, 2);
	uint64_t now = rd_clock_ms();

	*trimmed_out = (struct rd_trimmed){
	    .removed = rd_reply_int(rd_reply_at(reply, 0), 0),
	    .left = rd_reply_int(rd_reply_at(reply, 1), 0),
	    .holder = rd_reply_str(rd_reply_at(reply, 3)),
	};
	t->eager |= rd_reply_int(rd_reply_at(reply, 4), 0) > 0;
	if (rd_reply_at(passed, 0) == NULL)
		return;
	t->passed += (uint64_t)trimmed_out->removed;
	if (t->told_ms != 0 && now - t->told_ms < TELL_EACH_MS)
		return;
	t->told_ms = now;
	rd_log(RD_LOG_WARN, "trim.passed",
	       "channel=%.*s team=%.*s teams=%zu messages=%" PRIu64,
	       RD_SLICE_ARG(channel),
	       RD_SLICE_ARG(rd_reply_str(rd_reply_at(passed, 0))),
	       passed->count, t->passed);
}
