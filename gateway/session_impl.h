/* SPDX-License-Identifier: MIT */
/*
 * session_impl.h -- the inside of sessions, for session.c (one of them) and
 * sessions.c (all of them).
 */
#ifndef RD_GATEWAY_SESSION_IMPL_H
#define RD_GATEWAY_SESSION_IMPL_H

#include "gateway/history.h"
#include "gateway/outbox.h"
#include "gateway/session.h"

struct rd_session {
	struct rd_list link;          /* on the list of all */
	struct rd_sessions *sessions; /* borrowed */
	struct rd_conn *conn;         /* borrowed until closed() */
	enum rd_codec codec;
	struct rd_feed feed;
	struct rd_outbox outbox;
	struct rd_histories histories;
	struct rd_buf held; /* a request that waits for a subscription */
	bool holding;
	bool going; /* told to come back: closes when all is answered */
	struct rd_task wake; /* takes up the held request */
};

struct rd_sessions {
	struct rd_sessions_env env;
	struct rd_list all;
	struct rd_list drained; /* those told to go */
	size_t count;
	struct rd_request_reader reader; /* scratch */
	struct rd_buf out;               /* scratch: frames for one client */
	struct rd_session_counters counters;
	struct rd_timer drain;
	size_t drain_batch; /* to be told in one tick */
	uint64_t drain_spread_ms;
};

/* Tells the client to come back after so long, listens no more, and closes
 * when all that it has published is answered. */
void rd_session_dismiss(struct rd_session *s, uint64_t after_ms);

#endif
