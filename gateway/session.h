/* SPDX-License-Identifier: MIT */
/*
 * session.h -- one client of the wire protocol: its requests and pushes.
 *
 * Here a connection, a feed and an outbox become what PROTOCOL.md describes.
 */
#ifndef RD_GATEWAY_SESSION_H
#define RD_GATEWAY_SESSION_H

#include "gateway/conn.h"
#include "gateway/events.h"
#include "gateway/subscription.h"
#include "src/config.h"
#include "src/publisher.h"

struct rd_history_room;
struct rd_sessions;

#define RD_SESSION_COUNTERS(X)                                                 \
	X(requests, "requests of clients")                                     \
	X(refused, "requests that were answered with an error")                \
	X(denied, "of them, by a rule or a handler")                           \
	X(published, "messages of clients that Redis has stored")              \
	X(publish_errors, "messages of clients that Redis did not store")      \
	X(subscription_limits, "subscriptions above max-subscriptions")        \
	X(publish_limits, "messages above publish-rate or a rule's rate")      \
	X(history_pauses, "times that a client read histories too fast")       \
	X(request_pauses, "times that a client asked too much too fast")       \
	X(reply_pauses, "times that a client read too few of its replies")
struct rd_session_counters {
#define X(name, help) uint64_t name;
	RD_SESSION_COUNTERS(X)
#undef X
};

/* What all sessions of a gateway share; everything is borrowed. */
struct rd_sessions_env {
	struct rd_loop *loop;
	const struct rd_config *cfg;
	struct rd_feeds *feeds;
	struct rd_publisher *publisher;
	struct rd_events *events;
	struct rd_redis *pages; /* for older messages */
	struct rd_history_room *histories;
	struct rd_redis *publish; /* the publisher's link */
	const char *gateway;      /* this gateway's id */
	const char *epoch;        /* of the data set; "" before it is known */
};

struct rd_sessions *rd_sessions_new(const struct rd_sessions_env *env);
/* All connections must have ended. */
void rd_sessions_free(struct rd_sessions **sessions);
const struct rd_session_counters *rd_sessions_counters(
    const struct rd_sessions *sessions);
/* Counts what plain clients publish, too. */
void rd_sessions_count_publish(struct rd_sessions *sessions, bool stored);
/* Counts those of them that came too fast. */
void rd_sessions_count_limit(struct rd_sessions *sessions);
/* Counts those of them that read the past too fast. */
void rd_sessions_count_pause(struct rd_sessions *sessions);
/* Redis went away: whoever waits for it is told. */
void rd_sessions_down(struct rd_sessions *sessions);
/* Tells one more client to come back after so long, and closes it when all is
 * answered; false where every one has been told. */
bool rd_sessions_dismiss(struct rd_sessions *sessions, uint64_t after_ms);

/* Upgrades the connection, and welcomes, or asks a handler first.  protocol:
 * the subprotocol chosen, or NULL. */
void rd_session_open(struct rd_sessions *sessions, struct rd_conn *conn,
		     const struct rd_http_request *req, enum rd_codec codec,
		     const char *protocol);

#endif
