/* SPDX-License-Identifier: MIT */
/*
 * preflight_commands.c -- may we use the commands that we need?
 *
 * Redis judges a command when it is put into a transaction: one that it does
 * not know, or that this user may not use, or not with our keys, is refused
 * there.  So all of them are put into one that is then discarded, and nothing
 * is carried out.  A server that has no transactions for us is not judged.
 *
 * Not here: what is worth a warning only (preflight_redis.c).
 */
#include "src/ask.h"
#include "src/keys.h"
#include "src/preflight.h"

#define WORDS_MAX 12

/* KEY stands for one of ours.  Those that scripts use count like all others. */
static const char *const all[] = {
    "EVALSHA 0123456789012345678901234567890123456789 1 KEY",
    "EVAL return 1 KEY",
    "SCRIPT LOAD return",
    "SUBSCRIBE __redis__:invalidate",
    "DBSIZE",
    "DEL KEY",
    "EXISTS KEY",
    "GET KEY",
    "HDEL KEY f",
    "HGET KEY f",
    "HGETALL KEY",
    "HMGET KEY f",
    "HSET KEY f v",
    "HSETNX KEY f v",
    "PEXPIRE KEY 1",
    "PTTL KEY",
    "SCAN 0",
    "SET KEY v",
    "TIME",
    "TYPE KEY",
    "UNLINK KEY",
    "XADD KEY * f v",
    "XDEL KEY 1-1",
    "XGROUP DESTROY KEY g",
    "XINFO STREAM KEY",
    "XLEN KEY",
    "XPENDING KEY g",
    "XRANGE KEY - + COUNT 1",
    "XREAD COUNT 1 STREAMS KEY 0",
    "XREVRANGE KEY + - COUNT 1",
    "XTRIM KEY MAXLEN 1",
    "ZADD KEY 1 m",
    "ZCARD KEY",
    "ZMSCORE KEY m",
    "ZRANGE KEY 0 0",
    "ZREM KEY m",
    "ZREMRANGEBYSCORE KEY 0 0",
    "ZREVRANGE KEY 0 0",
    "ZSCAN KEY 0",
    "ZSCORE KEY m",
};

/* Only workers do. */
static const char *const of_workers[] = {
    "HEXISTS KEY f",
    "HINCRBY KEY f 1",
    "HLEN KEY",
    "INCR KEY",
    "XACK KEY g 1-1",
    "XCLAIM KEY g c 0 1-1",
    "XREADGROUP GROUP g c COUNT 1 STREAMS KEY >",
    "ZINCRBY KEY 1 m",
    "ZRANGEBYSCORE KEY 0 0",
};

struct trial {
	struct rd_ask *ask;    /* borrowed */
	struct rd_slice key;   /* borrowed */
	struct rd_buf refused; /* "XADD, EVAL" */
	struct rd_buf words;   /* why the first one was */
};

static size_t cut_words(const struct trial *t, const char *text,
			struct rd_slice words[WORDS_MAX])
{
	size_t n = 0;

	while (*text != '\0' && n < WORDS_MAX) {
		struct rd_slice word = {text, strcspn(text, " ")};

		text += word.len;
		text += *text == ' ';
		words[n++] = rd_slice_is(word, "KEY") ? t->key : word;
	}
	return n;
}

/* RD_OK also where it was refused. */
static int try_command(struct trial *t, const char *text)
{
	struct rd_slice words[WORDS_MAX];
	size_t n = cut_words(t, text, words);
	const struct rd_reply *reply;
	int err = rd_ask_words(t->ask, &reply, words, n);

	/* A full Redis queues nothing, whatever it is: that says nothing. */
	if (err != RD_EREDIS || rd_reply_is_error(reply, "OOM"))
		return err == RD_EREDIS ? RD_OK : err;
	if (t->refused.len == 0)
		rd_buf_addslice(&t->words, reply->str);
	else
		rd_buf_adds(&t->refused, ", ");
	rd_buf_addslice(&t->refused, words[0]);
	return RD_OK;
}

static int try_all(struct trial *t, const char *const *texts, size_t count)
{
	int err = RD_OK;

	for (size_t i = 0; i < count && err == RD_OK; i++)
		err = try_command(t, texts[i]);
	return err;
}

int rd_preflight_commands(struct rd_ask *ask, const struct rd_config *cfg,
			  struct rd_buf *why)
{
	struct rd_buf key = RD_BUF_INIT;
	struct trial t = {.ask = ask};
	const struct rd_reply *reply;
	int err = rd_ask(ask, &reply, "MULTI");

	if (err != RD_OK)
		return err == RD_EREDIS ? RD_ENOTFOUND : err;
	rd_key_global(&key, cfg->prefix, "check");
	t.key = rd_buf_slice(&key);
	err = try_all(&t, all, sizeof(all) / sizeof(*all));
	if (err == RD_OK && rd_config_workers(cfg) > 0)
		err = try_all(&t, of_workers,
			      sizeof(of_workers) / sizeof(*of_workers));
	if (err == RD_OK)
		err = rd_ask(ask, &reply, "DISCARD");
	if (err == RD_OK && t.refused.len > 0) {
		rd_buf_addf(why,
			    "Redis refuses what is needed, %s: %s (README.md "
			    "of deploy, \"The least that a user needs\")",
			    rd_buf_text(&t.refused), rd_buf_text(&t.words));
		err = RD_ECONFIG;
	}
	rd_buf_fini(&key);
	rd_buf_fini(&t.refused);
	rd_buf_fini(&t.words);
	return err;
}
