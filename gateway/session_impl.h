/* SPDX-License-Identifier: MIT */
/*
 * session_impl.h -- the inside of sessions, for the four files:
 *
 *	session.c		one of them: its requests and what answers them
 *	session_flow.c		when it is listened to
 *	session_events.c	what handlers decide on, and order
 *	sessions.c		all of them
 */
#ifndef RD_GATEWAY_SESSION_IMPL_H
#define RD_GATEWAY_SESSION_IMPL_H

#include "gateway/frame.h"
#include "gateway/history.h"
#include "gateway/outbox.h"
#include "gateway/session.h"

#define RD_SESSION_NAME 17 /* 16 digits and a NUL */
/* The tag of a subscription that a handler has ordered: no request's. */
#define RD_TAG_ORDERED UINT64_MAX

/* What a client needs that does more than listen. */
struct rd_desk {
	struct rd_outbox outbox;
	struct rd_histories histories;
	struct rd_bucket histories_pace; /* their bytes */
	struct rd_buf held;  /* a request that waits for a subscription */
	struct rd_task wake; /* takes it up */
};

struct rd_session {
	struct rd_list link;          /* on the list of all */
	struct rd_sessions *sessions; /* borrowed */
	struct rd_conn *conn;         /* borrowed until closed() */
	enum rd_codec codec;
	struct rd_socket socket; /* what handlers know it by */
	struct rd_feed feed;
	struct rd_desk *desk;       /* owned; NULL: not needed so far */
	char name[RD_SESSION_NAME]; /* random; told to the client */
	bool holding;               /* the desk holds a request */
	bool going; /* told to come back: closes when all is answered */
	struct rd_ask *greeting;    /* may it come in?  NULL: it may */
	struct rd_list subscribing; /* subscribes that a handler decides on */
	struct rd_list calling;     /* calls under way */
	size_t asking;              /* of both */
	struct rd_map known;        /* subscriptions that handlers know of */
	struct rd_list early;       /* orders that came before the welcome */
	struct rd_bucket pace;      /* of its requests */
	struct rd_waiter slowed;    /* while it is above that */
	size_t owed;   /* bytes of replies, full as it was, since it drained */
	size_t beyond; /* bytes sent to it, full as it was, since it drained */
};

struct rd_sessions {
	struct rd_sessions_env env;
	struct rd_list all;
	struct rd_list drained; /* those told to go */
	size_t count;
	struct rd_request_reader reader; /* scratch */
	struct rd_buf out;               /* scratch: frames for one client */
	struct rd_session_counters counters;
	struct rd_waiting slowed; /* those above request-rate */
};

/* Subscriptions, publishes and calls carry their request's id in a tag: 0 is
 * none. */
static inline uint64_t rd_tag_of(const struct rd_request *req)
{
	return req->has_id ? req->id + 1 : 0;
}

static inline struct rd_request rd_request_of(uint64_t tag)
{
	return (struct rd_request){.has_id = tag != 0, .id = tag - 1};
}

/* ---- session.c ---- */

/* Tells the client to come back after so long, listens no more, and closes
 * when every publish and call that was taken is answered: what has no answer
 * then has had no effect, and the client may ask again elsewhere. */
void rd_session_dismiss(struct rd_session *s, uint64_t after_ms);
/* Where a frame goes, and off it goes. */
struct rd_buf *rd_session_out(struct rd_session *s);
void rd_session_send(struct rd_session *s);
/* The same with a frame from elsewhere. */
void rd_session_give(struct rd_session *s, struct rd_slice frame);
void rd_session_refuse(struct rd_session *s, const struct rd_request *req,
		       enum rd_fault fault, const char *why);
const char *rd_session_epoch(const struct rd_session *s);
void rd_session_welcome(struct rd_session *s);
/* Takes up the held request, after the turn, if there is one. */
void rd_session_wake(struct rd_session *s);
/* As many subscriptions as it may have? */
bool rd_session_is_full(const struct rd_session *s);
/* Does it follow req's channel already?  Then the client has been told. */
bool rd_session_follows(struct rd_session *s, const struct rd_request *req);
/* Begins a subscription that nobody objects to, and sees to the answer. */
void rd_session_subscribe(struct rd_session *s, struct rd_slice channel,
			  const struct rd_place *place, bool foreign,
			  uint64_t tag);

/* ---- session_flow.c ---- */

/* Listens to the client unless something of its own must be done first. */
void rd_session_flow(struct rd_session *s);
/* It has asked for what is worth n requests; flow() is called afterwards. */
void rd_session_charge(struct rd_session *s, uint64_t n);
/* Sends a history, for whose bytes it is charged; the same. */
void rd_session_give_history(struct rd_session *s, struct rd_slice frame);
/* Redis has worked for it for long; arg is the session. */
rd_walked_fn rd_session_charge_step;
/* Its output has room again. */
void rd_session_drained(struct rd_session *s);
/* It may ask again. */
void rd_session_waited(struct rd_waiter *w);
/* Gives up what is under way; NULL is fine. */
void rd_desk_free(struct rd_desk **desk);

/* ---- session_events.c ---- */

void rd_session_events_init(struct rd_session *s);
void rd_session_events_fini(struct rd_session *s);
/* Asks whether it may come in; the answer is seen to. */
void rd_session_ask_connect(struct rd_session *s,
			    const struct rd_http_request *req,
			    const char *protocol);
/* Asks whether it may subscribe; the same. */
void rd_session_ask_subscribe(struct rd_session *s,
			      const struct rd_request *req, bool foreign);
/* Is that being asked? */
bool rd_session_is_asking(const struct rd_session *s, struct rd_slice channel);
/* Who may subscribe may read; where a handler decides, who is subscribed. */
bool rd_session_may_read(const struct rd_session *s, struct rd_slice channel);
void rd_session_call(struct rd_session *s, const struct rd_request *req);
/* It does not follow the channel any more: tells handlers that know of it. */
void rd_session_left(struct rd_session *s, struct rd_slice channel);

#endif
