/* SPDX-License-Identifier: MIT */
/*
 * script.h -- the Lua scripts that run inside Redis.
 *
 * Each stands in src/lua/<name>.lua, opens with its contract (KEYS, ARGV,
 * answer), and is compiled into the program.  They are sent by EVALSHA, and
 * once more by EVAL where the server has forgotten them (NOSCRIPT); callers
 * see one answer.
 */
#ifndef RD_SRC_SCRIPT_H
#define RD_SRC_SCRIPT_H

#include "src/redis.h"

/* One for each file of src/lua: the constant, and the name of the file. */
#define RD_SCRIPT_LIST(X)                                                      \
	X(BEAT, "beat")                                                        \
	X(CLAIM, "claim")                                                      \
	X(COMMIT, "commit")                                                    \
	X(CONF, "conf")                                                        \
	X(DELAY, "delay")                                                      \
	X(DEPART, "depart")                                                    \
	X(DUE, "due")                                                          \
	X(EXPIRE, "expire")                                                    \
	X(FORGET, "forget")                                                    \
	X(GROUP, "group")                                                      \
	X(JOIN, "join")                                                        \
	X(KEEP, "keep")                                                        \
	X(LEAVE, "leave")                                                      \
	X(LOCK, "lock")                                                        \
	X(LOOK, "look")                                                        \
	X(NUMBERS, "numbers")                                                  \
	X(PAGE, "page")                                                        \
	X(PROMOTE, "promote")                                                  \
	X(READ, "read")                                                        \
	X(REGISTER, "register")                                                \
	X(REPORT, "report")                                                    \
	X(RESCUE, "rescue")                                                    \
	X(REVIVE, "revive")                                                    \
	X(RULES, "rules")                                                      \
	X(SHARE, "share")                                                      \
	X(STALE, "stale")                                                      \
	X(START, "start")                                                      \
	X(TRIM, "trim")

enum rd_script {
#define RD_SCRIPT_ENUM(constant, name) RD_SCRIPT_##constant,
	RD_SCRIPT_LIST(RD_SCRIPT_ENUM)
#undef RD_SCRIPT_ENUM
	    RD_SCRIPTS
};

/* Sends SCRIPT LOAD for all; call it when a link comes up.  Until then, and
 * after SCRIPT FLUSH, calls work too, at the cost of one more turn; their
 * effects then come after those of commands that were sent behind them. */
void rd_script_load(struct rd_redis *link);
/*
 * Runs one.  Keys and arguments are copied.  Errors as rd_redis_send();
 * a script that is repeated by EVAL has not run before.
 */
RD_MUST_CHECK int rd_script_call(struct rd_redis *link, enum rd_script script,
				 const struct rd_slice *keys, size_t key_count,
				 const struct rd_slice *args, size_t arg_count,
				 rd_reply_fn *fn, void *arg);

/* The same for a call that owns arg: where the link is closed before fn was
 * called, drop(arg) is called instead, after the turn. */
RD_MUST_CHECK int rd_script_call_owned(
    struct rd_redis *link, enum rd_script script, const struct rd_slice *keys,
    size_t key_count, const struct rd_slice *args, size_t arg_count,
    rd_reply_fn *fn, void *arg, rd_fn *drop);

#endif
