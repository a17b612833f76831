/* SPDX-License-Identifier: MIT */
/*
 * overview.h -- the metrics of the whole fleet, for whoever scrapes a gateway.
 *
 * They stand in Redis and are counted when they are asked for, over a link of
 * their own, so that clients never wait for them.  What was counted is good for
 * a second, or for nine times as long as counting took: with very many
 * channels it costs Redis a tenth of the time at most, whoever scrapes how
 * often.
 */
#ifndef RD_GATEWAY_OVERVIEW_H
#define RD_GATEWAY_OVERVIEW_H

#include "src/buf.h"
#include "src/redis.h"

struct rd_overview;

/* uri, tls, name and prefix are borrowed until close.  looked(arg) is called
 * from the loop, see below. */
struct rd_overview *rd_overview_open(struct rd_loop *loop,
				     const struct rd_uri *uri,
				     struct rd_tls *tls, const char *name,
				     const char *prefix, rd_fn *looked,
				     void *arg);
void rd_overview_close(struct rd_overview **overview);
/*
 * Brings it up to date.  False: it is, or cannot be.  True: looked() is called
 * when it is, or after two seconds, whatever there is then.
 */
bool rd_overview_look(struct rd_overview *overview);
/* Appends what was counted last, and how old it is. */
void rd_overview_add(const struct rd_overview *overview, struct rd_buf *out);

#endif
