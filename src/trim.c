/* SPDX-License-Identifier: MIT */
/*
 * trim.c -- make channels shorter, never past unfinished work; see trim.h.
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
#include "src/script.h"

#include <inttypes.h>
#include <stdio.h>

#define TELL_EACH_MS 60000

void rd_trim_init(struct rd_trim *t, struct rd_redis *link, const char *prefix,
		  const struct rd_config *cfg)
{
	*t = (struct rd_trim){.link = link, .prefix = prefix};
	snprintf(t->maxlen, sizeof(t->maxlen), "%" PRId64, cfg->maxlen);
	snprintf(t->team_expire, sizeof(t->team_expire), "%" PRId64,
		 cfg->team_expire_ms);
	rd_key_global(&t->teams, prefix, "teams");
}

void rd_trim_fini(struct rd_trim *t)
{
	rd_buf_fini(&t->teams);
	rd_buf_fini(&t->key);
}

int rd_trim_send(struct rd_trim *t, struct rd_slice channel, rd_reply_fn *fn,
		 void *arg)
{
	struct rd_slice keys[2], args[2];

	rd_key_channel(&t->key, t->prefix, channel);
	keys[0] = rd_buf_slice(&t->key);
	keys[1] = rd_buf_slice(&t->teams);
	args[0] = rd_slice_str(t->maxlen);
	args[1] = rd_slice_str(t->team_expire);
	return rd_script_call(t->link, RD_SCRIPT_TRIM, keys, 2, args, 2, fn,
			      arg);
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
