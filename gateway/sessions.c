/* SPDX-License-Identifier: MIT */
/*
 * sessions.c -- all clients of the wire protocol; see session.h.
 *
 * A drain is spread: a few clients are sent away in each tick, and each is
 * told another moment to come back, so that the next gateway meets no herd.
 */
#include "gateway/session_impl.h"
#include "gateway/crypto.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>

#define DRAIN_TICK_MS 20

static void drain_tick(void *arg)
{
	struct rd_sessions *all = arg;
	struct rd_list *l;

	for (size_t i = 0; i < all->drain_batch; i++) {
		struct rd_session *s;
		uint64_t after = 0;

		l = rd_list_shift(&all->all);
		if (l == NULL)
			return;
		s = rd_list_item(l, struct rd_session, link);
		rd_list_push(&all->drained, l);
		rd_random(&after, 4);
		rd_session_dismiss(s, after % (all->drain_spread_ms + 1));
	}
	rd_timer_start(&all->drain, DRAIN_TICK_MS);
}

void rd_sessions_drain(struct rd_sessions *sessions, uint64_t spread_ms)
{
	size_t ticks = (size_t)(spread_ms / DRAIN_TICK_MS) + 1;

	sessions->drain_spread_ms = spread_ms;
	sessions->drain_batch = sessions->count / ticks + 1;
	drain_tick(sessions);
}

void rd_sessions_down(struct rd_sessions *sessions)
{
	struct rd_list *l;

	rd_list_each (l, &sessions->all) {
		rd_session_wake(rd_list_item(l, struct rd_session, link));
	}
}

void rd_sessions_count_publish(struct rd_sessions *sessions, bool stored)
{
	if (stored)
		sessions->counters.published++;
	else
		sessions->counters.publish_errors++;
}

void rd_sessions_count_limit(struct rd_sessions *sessions)
{
	sessions->counters.publish_limits++;
}

struct rd_sessions *rd_sessions_new(const struct rd_sessions_env *env)
{
	struct rd_sessions *sessions = rd_new(struct rd_sessions);

	sessions->env = *env;
	rd_list_init(&sessions->all);
	rd_list_init(&sessions->drained);
	rd_waiting_init(&sessions->slowed, env->loop, rd_session_waited);
	rd_timer_init(&sessions->drain, env->loop, drain_tick, sessions);
	return sessions;
}

void rd_sessions_free(struct rd_sessions **sessions)
{
	if (*sessions == NULL)
		return;
	assert((*sessions)->count == 0);
	rd_timer_stop(&(*sessions)->drain);
	rd_waiting_fini(&(*sessions)->slowed);
	rd_request_reader_fini(&(*sessions)->reader);
	rd_buf_fini(&(*sessions)->out);
	free(*sessions);
	*sessions = NULL;
}

const struct rd_session_counters *rd_sessions_counters(
    const struct rd_sessions *sessions)
{
	return &sessions->counters;
}
