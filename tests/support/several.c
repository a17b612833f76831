/* SPDX-License-Identifier: MIT */
/*
 * several.c -- a C handler for tests that may be called from several threads,
 * built as a shared object; what several.py is to exec.
 *
 *	--handler several.so:TO
 *
 * It emits {"n","most","same","of"} to the channel TO: the most calls that were
 * under way at once so far, those of them with messages of this channel, and
 * how many messages it was given at once.  do: meet (waits until "with" calls
 * that meet are under way), until (waits for the file "path", and logs), hang,
 * crash (ends the process when "with" calls are under way), pause (for "ms").
 *
 * -DSEVERAL_BATCH: the batch form.
 */
#include <redistribute/handler.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CALLS 64

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct rd_slice calls[CALLS]; /* channels of those under way */
static size_t under_way, most, meeting, met;

static int open_to(const char *args, void **state_out, char *why,
		   size_t why_size)
{
	(void)why;
	(void)why_size;
	*state_out = strdup(args);
	return RD_OK;
}

static long number(struct rd_context *ctx, const char *name)
{
	struct rd_slice s;
	char text[24];

	if (rd_member_text(ctx, name, &s) != RD_OK)
		return 0;
	snprintf(text, sizeof(text), "%.*s", RD_SLICE_ARG(s));
	return strtol(text, NULL, 10);
}

/* Under the mutex, as all that follows. */
static void meet(size_t with)
{
	size_t before = met;

	if (++meeting >= with) {
		met += meeting;
		meeting = 0;
		pthread_cond_broadcast(&changed);
	}
	while (met == before)
		pthread_cond_wait(&changed, &mutex);
}

static void wait_for_file(struct rd_context *ctx, struct rd_slice path)
{
	char name[300];

	snprintf(name, sizeof(name), "%.*s", RD_SLICE_ARG(path));
	while (access(name, F_OK) != 0)
		usleep(10000);
	rd_log_line(ctx, "seen");
}

static void obey(struct rd_context *ctx)
{
	struct rd_slice order, path;

	if (rd_member_text(ctx, "do", &order) != RD_OK)
		return;
	if (rd_slice_is(order, "meet")) {
		meet((size_t)number(ctx, "with"));
	} else if (rd_slice_is(order, "crash")) {
		while (under_way < (size_t)number(ctx, "with"))
			pthread_cond_wait(&changed, &mutex);
		abort();
	}
	pthread_mutex_unlock(&mutex);
	if (rd_slice_is(order, "hang"))
		sleep(3600);
	else if (rd_slice_is(order, "pause"))
		usleep((useconds_t)number(ctx, "ms") * 1000);
	else if (rd_slice_is(order, "until") &&
		 rd_member_text(ctx, "path", &path) == RD_OK)
		wait_for_file(ctx, path);
	pthread_mutex_lock(&mutex);
}

static size_t enter(struct rd_slice channel)
{
	size_t i = 0;

	while (calls[i].data != NULL)
		i++;
	calls[i] = channel;
	if (++under_way > most)
		most = under_way;
	pthread_cond_broadcast(&changed);
	return i;
}

static size_t count_same(struct rd_slice channel)
{
	size_t n = 0;

	for (size_t i = 0; i < CALLS; i++)
		n += calls[i].data != NULL && rd_slice_eq(calls[i], channel);
	return n;
}

static int emit(const char *to, struct rd_context *ctx, size_t same, size_t of)
{
	struct rd_slice none = {0};
	char text[150];

	snprintf(text, sizeof(text),
		 "{\"n\":%ld,\"most\":%zu,\"same\":%zu,\"of\":%zu}",
		 number(ctx, "n"), most, same, of);
	return rd_emit(ctx, rd_slice_str(to), none, RD_ENC_JSON,
		       rd_slice_str(text));
}

static int run(const char *to, struct rd_context *ctx, struct rd_slice channel,
	       size_t of)
{
	size_t i, same;

	pthread_mutex_lock(&mutex);
	i = enter(channel);
	obey(ctx);
	same = count_same(channel);
	calls[i] = (struct rd_slice){0};
	under_way--;
	pthread_mutex_unlock(&mutex);
	return emit(to, ctx, same, of);
}

#ifdef SEVERAL_BATCH
static int on_batch(void *state, struct rd_context *ctx,
		    const struct rd_delivery *deliveries, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int err;

		rd_pick(ctx, i);
		err = run(state, ctx, deliveries[i].channel, count);
		if (err != RD_OK)
			return err;
	}
	return RD_OK;
}
#else
static int on_message(void *state, struct rd_context *ctx,
		      const struct rd_delivery *delivery)
{
	return run(state, ctx, delivery->channel, 1);
}
#endif

/* Allows a publish when `with` of them are asked about at once; replies to a
 * call with a type. */
static int on_publish(void *state, struct rd_context *ctx,
		      const struct rd_event *event)
{
	(void)state;
	(void)event;
	pthread_mutex_lock(&mutex);
	obey(ctx);
	pthread_mutex_unlock(&mutex);
	return RD_OK;
}

static int on_call(void *state, struct rd_context *ctx,
		   const struct rd_event *event)
{
	(void)state;
	(void)event;
	return rd_reply_typed(ctx, rd_slice_str("SUM"), RD_ENC_JSON,
			      rd_slice_str("5"));
}

const struct rd_handler redistribute_handler = {
    .abi = RD_HANDLER_ABI,
    .size = sizeof(struct rd_handler),
    .name = "several",
    .open = open_to,
#ifdef SEVERAL_BATCH
    .batch = on_batch,
#else
    .message = on_message,
#endif
    .close = free,
    .publish = on_publish,
    .call = on_call,
#ifndef SEVERAL_OLD
    .concurrent = 1,
#endif
};
