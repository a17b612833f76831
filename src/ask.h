/* SPDX-License-Identifier: MIT */
/*
 * ask.h -- Redis for a program that has nothing else to do: wait for answers.
 *
 * The operator's verbs use it.  It owns a loop and one link, and runs the
 * loop until the answer is there or the time is over.
 */
#ifndef RD_SRC_ASK_H
#define RD_SRC_ASK_H

#include "src/config.h"
#include "src/redis.h"
#include "src/script.h"

struct rd_ask;

/*
 * Connects to the configured Redis (targets, or the embedded one's socket in
 * data_dir); only for one that is loading its data it waits.  RD_ECONFIG or
 * RD_ECONN with a sentence in why.
 */
RD_MUST_CHECK int rd_ask_open(const struct rd_config *cfg, uint64_t timeout_ms,
			      struct rd_ask **ask_out, struct rd_buf *why);
void rd_ask_close(struct rd_ask **ask);
/* The loop and the link, for what needs more than question and answer. */
struct rd_loop *rd_ask_loop(struct rd_ask *ask);
struct rd_redis *rd_ask_link(struct rd_ask *ask);

/*
 * One command, by the format rules of rd_redis_call(); *reply_out is borrowed
 * until the next call.  RD_EREDIS with an error reply, RD_ETIMEOUT, RD_ECONN or
 * RD_EUNKNOWN with NULL.
 */
RD_MUST_CHECK int rd_ask(struct rd_ask *ask, const struct rd_reply **reply_out,
			 const char *fmt, ...);
/* The same with a command of argc words. */
RD_MUST_CHECK int rd_ask_words(struct rd_ask *ask,
			       const struct rd_reply **reply_out,
			       const struct rd_slice *argv, size_t argc);
/* The same with a script (script.h). */
RD_MUST_CHECK int rd_ask_script(struct rd_ask *ask,
				const struct rd_reply **reply_out,
				enum rd_script script,
				const struct rd_slice *keys, size_t key_count,
				const struct rd_slice *args, size_t arg_count);
/* Runs the loop until *done, at most timeout_ms: RD_OK or RD_ETIMEOUT. */
RD_MUST_CHECK int rd_ask_wait(struct rd_ask *ask, const bool *done,
			      uint64_t timeout_ms);

/* The URI of the configured Redis, resolved; fini it.  RD_ECONFIG with why. */
RD_MUST_CHECK int rd_config_uri(const struct rd_config *cfg,
				struct rd_uri *uri_out, struct rd_buf *why);

#endif
