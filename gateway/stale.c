/* SPDX-License-Identifier: MIT */
/*
 * stale.c -- questions go when nobody waits for them any more; see stale.h.
 *
 * One walk along the events channel that never looks at an entry twice, a
 * bounded piece of it at a time (lua/stale.lua).
 */
#include "gateway/stale.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define EACH_MS    1000
#define MOST       "200"
#define MOST_BYTES "1000000"
#define LOG_EACH   60 /* failures */

struct rd_stale {
	struct rd_redis *link; /* borrowed */
	struct rd_buf key;     /* owned: of the events channel */
	uint64_t age_ms;
	struct rd_id at; /* looked at up to here */
	struct rd_timer timer;
	bool looking; /* an answer is under way */
	struct rd_stale_counters counters;
};

static void look(void *arg);

static void on_looked(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_stale *s = arg;
	bool more = false;

	s->looking = false;
	if (err == RD_OK) {
		s->counters.events_expired +=
		    (uint64_t)rd_reply_int(rd_reply_at(reply, 1), 0);
		more = rd_reply_int(rd_reply_at(reply, 2), 0) == 1 &&
		       rd_id_parse(rd_reply_str(rd_reply_at(reply, 0)),
				   &s->at) == RD_OK;
	} else if (err == RD_EREDIS &&
		   s->counters.event_expire_failures++ % LOG_EACH == 0) {
		rd_log(RD_LOG_WARN, "events.expire", "why=%.*s",
		       RD_SLICE_ARG(reply->str));
	}
	rd_timer_start(&s->timer, more ? 0 : EACH_MS);
}

static void look(void *arg)
{
	struct rd_stale *s = arg;
	char id[RD_ID_TEXT], age[24];
	struct rd_slice keys[1] = {rd_buf_slice(&s->key)}, args[4];

	if (s->looking)
		return;
	snprintf(age, sizeof(age), "%" PRIu64, s->age_ms);
	args[0] = rd_slice_str(rd_id_text(s->at, id));
	args[1] = rd_slice_str(age);
	args[2] = rd_slice_str(MOST);
	args[3] = rd_slice_str(MOST_BYTES);
	/* Where the link is down, rd_stale_up() comes. */
	s->looking = rd_script_call(s->link, RD_SCRIPT_STALE, keys, 1, args, 4,
				    on_looked, s) == RD_OK;
}

struct rd_stale *rd_stale_new(struct rd_loop *loop, struct rd_redis *link,
			      const struct rd_config *cfg)
{
	struct rd_stale *s = rd_new(struct rd_stale);

	s->link = link;
	s->age_ms = (uint64_t)cfg->event_expire_ms;
	rd_key_channel(&s->key, cfg->prefix, rd_slice_str(cfg->events));
	rd_timer_init(&s->timer, loop, look, s);
	return s;
}

void rd_stale_free(struct rd_stale **stale)
{
	struct rd_stale *s = *stale;

	if (s == NULL)
		return;
	rd_timer_stop(&s->timer);
	rd_buf_fini(&s->key);
	free(s);
	*stale = NULL;
}

void rd_stale_up(struct rd_stale *s)
{
	s->at = RD_ID_ZERO;
	rd_timer_start(&s->timer, 0);
}

const struct rd_stale_counters *rd_stale_counters(const struct rd_stale *s)
{
	return &s->counters;
}
