/* SPDX-License-Identifier: MIT */
/*
 * script.c -- sending Lua scripts by their hash.
 *
 * Redis forgets scripts: at a restart, after SCRIPT FLUSH, on a replica that
 * was promoted.  It then refuses EVALSHA with NOSCRIPT before anything ran, so
 * the same call is sent again as EVAL, source and all, which also makes Redis
 * remember.  For that a call keeps its words until it is answered; where the
 * link is closed first, the call goes with it.
 *
 * Not here: the scripts (src/lua), their hashes (embed.py, at build time).
 */
#include "src/script.h"
#include "src/log.h"
#include "src/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "script_sources.h"

#define SOURCES (sizeof(script_sources) / sizeof(*script_sources))

static const char *const names[] = {
#define NAME(constant, name) name,
    RD_SCRIPT_LIST(NAME)
#undef NAME
};

struct call {
	struct rd_redis *link; /* borrowed: a closed one drops the call */
	enum rd_script script;
	rd_reply_fn *fn; /* the caller's; may be NULL */
	void *arg;
	rd_fn *drop;             /* of arg, where the call is; NULL: nothing */
	size_t count;            /* of words */
	struct rd_slice words[]; /* owned with the struct: the whole command,
				  * whose first two are set when it is sent */
};

/* Where it stands in script_sources. */
static size_t index_of(enum rd_script script)
{
	size_t i = 0;

	assert(script < RD_SCRIPTS);
	while (i < SOURCES && strcmp(script_sources[i].name, names[script]))
		i++;
	assert(i < SOURCES); /* a file of src/lua is missing in meson.build */
	return i;
}

static void loaded(void *arg, int err, const struct rd_reply *reply)
{
	size_t i = (size_t)(uintptr_t)arg;

	if (err == RD_EREDIS)
		rd_log(RD_LOG_ERROR, "script.load", "script=%s why=%s",
		       script_sources[i].name, reply->str.data);
	else if (err == RD_OK &&
		 !rd_slice_is(rd_reply_str(reply), script_sources[i].sha1))
		rd_log(RD_LOG_ERROR, "script.load", "script=%s why=%s",
		       script_sources[i].name, "another hash is expected");
}

void rd_script_load(struct rd_redis *link)
{
	for (size_t i = 0; i < SOURCES; i++) {
		int err =
		    rd_redis_call(link, loaded, (void *)(uintptr_t)i,
				  "SCRIPT LOAD %s", script_sources[i].source);

		/* Calls will load what this could not. */
		if (err < 0)
			return;
	}
}

static void answered(void *arg, int err, const struct rd_reply *reply);

/* The link was closed first. */
static void call_drop(void *arg)
{
	struct call *call = arg;

	if (call->drop != NULL)
		call->drop(call->arg);
	free(call);
}

static int send_call(struct call *call, const char *verb, const char *what)
{
	call->words[0] = rd_slice_str(verb);
	call->words[1] = rd_slice_str(what);
	return rd_redis_send_owned(call->link, answered, call, call_drop,
				   call->words, call->count);
}

static void answered(void *arg, int err, const struct rd_reply *reply)
{
	struct call *call = arg;
	size_t i = index_of(call->script);

	if (err == RD_EREDIS && rd_reply_is_error(reply, "NOSCRIPT") &&
	    rd_slice_is(call->words[0], "EVALSHA") &&
	    send_call(call, "EVAL", script_sources[i].source) == RD_OK)
		return;
	if (call->fn != NULL)
		call->fn(call->arg, err, reply);
	free(call);
}

/* Copies s to p, where the word then stands; returns what is behind. */
static char *put(struct rd_slice *word, struct rd_slice s, char *p)
{
	if (s.len > 0)
		memcpy(p, s.data, s.len);
	*word = (struct rd_slice){p, s.len};
	return p + s.len;
}

/* A call with copies of all words behind the first two. */
static struct call *make_call(const struct rd_slice *keys, size_t key_count,
			      const struct rd_slice *args, size_t arg_count)
{
	size_t count = 3 + key_count + arg_count, bytes = 0;
	struct call *call;
	char number[24], *p;

	snprintf(number, sizeof(number), "%zu", key_count);
	bytes += strlen(number);
	for (size_t i = 0; i < key_count; i++)
		bytes += keys[i].len;
	for (size_t i = 0; i < arg_count; i++)
		bytes += args[i].len;
	call = rd_alloc(sizeof(*call) + count * sizeof(*call->words) + bytes);
	call->count = count;
	p = put(&call->words[2], rd_slice_str(number),
		(char *)&call->words[count]);
	for (size_t i = 0; i < key_count; i++)
		p = put(&call->words[3 + i], keys[i], p);
	for (size_t i = 0; i < arg_count; i++)
		p = put(&call->words[3 + key_count + i], args[i], p);
	return call;
}

int rd_script_call_owned(struct rd_redis *link, enum rd_script script,
			 const struct rd_slice *keys, size_t key_count,
			 const struct rd_slice *args, size_t arg_count,
			 rd_reply_fn *fn, void *arg, rd_fn *drop)
{
	struct call *call = make_call(keys, key_count, args, arg_count);
	int err;

	call->link = link;
	call->script = script;
	call->fn = fn;
	call->arg = arg;
	call->drop = drop;
	err = send_call(call, "EVALSHA", script_sources[index_of(script)].sha1);
	if (err < 0)
		free(call);
	return err;
}

int rd_script_call(struct rd_redis *link, enum rd_script script,
		   const struct rd_slice *keys, size_t key_count,
		   const struct rd_slice *args, size_t arg_count,
		   rd_reply_fn *fn, void *arg)
{
	return rd_script_call_owned(link, script, keys, key_count, args,
				    arg_count, fn, arg, NULL);
}
