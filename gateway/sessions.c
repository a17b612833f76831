/* SPDX-License-Identifier: MIT */
/*
 * sessions.c -- all clients of the wire protocol; see session.h.
 *
 * Not here: which of them goes when (drain.c).
 */
#include "gateway/session_impl.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>

bool rd_sessions_dismiss(struct rd_sessions *sessions, uint64_t after_ms)
{
	struct rd_list *l = rd_list_shift(&sessions->all);

	if (l == NULL)
		return false;
	rd_list_push(&sessions->drained, l);
	rd_session_dismiss(rd_list_item(l, struct rd_session, link), after_ms);
	return true;
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

void rd_sessions_count_pause(struct rd_sessions *sessions)
{
	sessions->counters.history_pauses++;
}

struct rd_sessions *rd_sessions_new(const struct rd_sessions_env *env)
{
	struct rd_sessions *sessions = rd_new(struct rd_sessions);

	sessions->env = *env;
	rd_list_init(&sessions->all);
	rd_list_init(&sessions->drained);
	rd_waiting_init(&sessions->slowed, env->loop, rd_session_waited);
	return sessions;
}

void rd_sessions_free(struct rd_sessions **sessions)
{
	if (*sessions == NULL)
		return;
	assert((*sessions)->count == 0);
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
