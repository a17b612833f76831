/* SPDX-License-Identifier: MIT */
/*
 * redis.h -- one link to one Redis server: TCP (with name look-up), unix
 * sockets and TLS alike.
 *
 * hiredis formats commands and (in reply_reader.c) parses replies.  Commands
 * are pipelined; replies come in order, each in the turn in which its bytes
 * came.  What is sent during a turn leaves at its end, in one write.
 *
 * The link reconnects for ever, with full-jitter back-off between 0 and a cap
 * that doubles from 50 ms to 3 s.  On each connection it authenticates,
 * selects its database and names itself before it is up.  An idle link is
 * probed (PING), and one that does not answer within 5 s is cut, so that a
 * half-open one is found in seconds; a link that waits in a blocking command
 * is told how long (rd_redis_expect).
 *
 * A command in flight when the link breaks is answered with RD_EUNKNOWN, and
 * never repeated here: only its sender knows whether that is safe.
 */
#ifndef RD_SRC_REDIS_H
#define RD_SRC_REDIS_H

#include <stdarg.h>

#include "src/loop.h"
#include "src/reply.h"
#include "src/uri.h"

struct rd_redis;
struct rd_tls;

/*
 * err: RD_OK with the reply; RD_EREDIS with an error reply; RD_EUNKNOWN with
 * NULL where the link broke first.
 */
typedef void rd_reply_fn(void *arg, int err, const struct rd_reply *reply);

struct rd_redis_ops {
	/* Commands may be sent.  Called on each connection. */
	void (*up)(void *arg);
	/* No longer; what was in flight has been answered.  Also called for
	 * each attempt that fails; why says so in words. */
	void (*down)(void *arg, const char *why);
	/* A message that answers no command (pub/sub); may be NULL.  A
	 * SUBSCRIBE is answered once, when its last channel is. */
	void (*push)(void *arg, const struct rd_reply *reply);
};

/*
 * Starts to connect.  uri and tls are borrowed until close (tls may be NULL
 * where uri.tls is false); name goes to CLIENT SETNAME and the log; ops is
 * borrowed, and called from the loop only.
 */
struct rd_redis *rd_redis_open(struct rd_loop *loop, const struct rd_uri *uri,
			       struct rd_tls *tls, const char *name,
			       const struct rd_redis_ops *ops, void *arg);
/* Nothing calls back after this: commands in flight are forgotten, though they
 * are sent as far as the kernel takes them at once.  Allowed anywhere; the
 * memory goes after the turn.  NULL is fine. */
void rd_redis_close(struct rd_redis **link);

bool rd_redis_is_up(const struct rd_redis *link);
/* CLIENT ID of this connection; 0 while down. */
int64_t rd_redis_client_id(const struct rd_redis *link);
/* Commands without a reply yet, and bytes not yet taken by the kernel. */
size_t rd_redis_pending(const struct rd_redis *link);
size_t rd_redis_unsent(const struct rd_redis *link);

/*
 * Sends one command of argc words.  fn may be NULL.  RD_ECONN while the link
 * is down, RD_ELIMIT while more than 64 MiB wait to be sent: nothing was sent
 * then, and fn will not be called.
 */
RD_MUST_CHECK int rd_redis_send(struct rd_redis *link, rd_reply_fn *fn,
				void *arg, const struct rd_slice *argv,
				size_t argc);
/* The same for a command that owns arg: where the link is closed before fn was
 * called, drop(arg) is called instead, after the turn. */
RD_MUST_CHECK int rd_redis_send_owned(struct rd_redis *link, rd_reply_fn *fn,
				      void *arg, rd_fn *drop,
				      const struct rd_slice *argv, size_t argc);
/*
 * The same by a format: words are separated by blanks; %s takes a string, %b a
 * pointer and a size_t, %d %u %lld %llu numbers (the rules of
 * redisFormatCommand in hiredis).
 */
RD_MUST_CHECK int rd_redis_call(struct rd_redis *link, rd_reply_fn *fn,
				void *arg, const char *fmt, ...);
RD_MUST_CHECK int rd_redis_vcall(struct rd_redis *link, rd_reply_fn *fn,
				 void *arg, const char *fmt, va_list ap);
/* The next reply may take this long although nothing is wrong (BLOCK); 0 ends
 * that.  Counts until the pending commands have been answered. */
void rd_redis_expect(struct rd_redis *link, uint64_t ms);

#endif
