/* SPDX-License-Identifier: MIT */
/*
 * post.h -- publishing by HTTP: one request, one message, one answer.
 *
 * For whoever follows a channel by server-sent events, or does not follow it at
 * all (PROTOCOL.md, "Publishing by POST").  The same rules hold, and the same
 * handlers decide, as for all other ways in.
 */
#ifndef RD_GATEWAY_POST_H
#define RD_GATEWAY_POST_H

#include "gateway/session.h"

struct rd_posts;

/* env is copied; sessions counts what is published. */
struct rd_posts *rd_posts_new(const struct rd_sessions_env *env,
			      struct rd_sessions *sessions);
/* All connections must have ended. */
void rd_posts_free(struct rd_posts **posts);

/* Reads the body, publishes it to the channel, and answers.  headers: further
 * lines of the answer; all is borrowed for the call. */
void rd_post_open(struct rd_posts *posts, struct rd_conn *conn,
		  const struct rd_http_request *req, struct rd_slice channel,
		  const char *headers);

#endif
