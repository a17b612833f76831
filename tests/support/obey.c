/* SPDX-License-Identifier: MIT */
/*
 * obey.c -- a C handler for tests, built as a shared object: does what the
 * message says, {"n":1,"do":"retry",...}.
 *
 *	--handler obey.so:TO
 *
 * Without an order it emits {"n":n,"of":COUNT} to the channel TO, COUNT being
 * the number of messages that it was given at once.  do: retry (after 20 ms),
 * fail, dead, crash, hang, error (the whole call fails), later (emits after
 * 300 ms), direct (to the socket in the member "socket"), slow (50 ms).
 *
 * -DOBEY_BATCH: the batch form.
 */
#include <redistribute/handler.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int open_to(const char *args, void **state_out, char *why,
		   size_t why_size)
{
	if (*args == '\0') {
		snprintf(why, why_size, "expected a channel");
		return RD_ECONFIG;
	}
	*state_out = strdup(args);
	return RD_OK;
}

static int emit(const char *to, struct rd_context *ctx, size_t count,
		uint64_t delay_ms)
{
	struct rd_slice n, none = {0};
	char text[100];

	if (rd_member_text(ctx, "n", &n) != RD_OK)
		return RD_EFORMAT;
	snprintf(text, sizeof(text), "{\"n\":%.*s,\"of\":%zu}", RD_SLICE_ARG(n),
		 count);
	return rd_emit_later(ctx, rd_slice_str(to), none, RD_ENC_JSON,
			     rd_slice_str(text), delay_ms);
}

static int write_to(struct rd_context *ctx)
{
	struct rd_slice socket;

	if (rd_member_text(ctx, "socket", &socket) != RD_OK)
		return RD_EFORMAT;
	return rd_direct(ctx, socket, rd_slice_str("T"), RD_ENC_TEXT,
			 rd_slice_str("hello"));
}

static int obey(const char *to, struct rd_context *ctx, size_t count)
{
	struct rd_slice order;

	if (rd_member_text(ctx, "do", &order) != RD_OK)
		return emit(to, ctx, count, 0);
	if (rd_slice_is(order, "error"))
		return RD_EIO;
	if (rd_slice_is(order, "later"))
		return emit(to, ctx, count, 300);
	if (rd_slice_is(order, "direct"))
		return write_to(ctx);
	if (rd_slice_is(order, "retry"))
		rd_retry(ctx, 20);
	else if (rd_slice_is(order, "fail"))
		rd_fail(ctx, "told to");
	else if (rd_slice_is(order, "dead"))
		rd_dead(ctx, "no good");
	else if (rd_slice_is(order, "slow"))
		usleep(50000);
	else if (rd_slice_is(order, "crash"))
		abort();
	else if (rd_slice_is(order, "hang"))
		sleep(3600);
	return rd_slice_is(order, "slow") ? emit(to, ctx, count, 0) : RD_OK;
}

#ifdef OBEY_BATCH
static int on_batch(void *state, struct rd_context *ctx,
		    const struct rd_delivery *deliveries, size_t count)
{
	(void)deliveries;
	for (size_t i = 0; i < count; i++) {
		int err;

		rd_pick(ctx, i);
		err = obey(state, ctx, count);
		if (err != RD_OK)
			return err;
	}
	return RD_OK;
}
#else
static int on_message(void *state, struct rd_context *ctx,
		      const struct rd_delivery *delivery)
{
	char id[RD_ID_TEXT];

	/* What the headers declare can be called. */
	if (rd_id_text(delivery->message->id, id)[0] == '0')
		return RD_EINVAL;
	return obey(state, ctx, 1);
}
#endif

const struct rd_handler redistribute_handler = {
    .abi = RD_HANDLER_ABI,
    .size = sizeof(struct rd_handler),
    .name = "obey",
    .open = open_to,
#ifdef OBEY_BATCH
    .batch = on_batch,
#else
    .message = on_message,
#endif
    .close = free,
};
