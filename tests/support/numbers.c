/* SPDX-License-Identifier: MIT */
/*
 * numbers.c -- a C handler for tests: each message has a number, which it
 * emits to a channel that is named for that of the message.
 *
 *	--handler ./numbers.so[:US]
 *
 * {"n":7} in channel c is emitted as {"n":7} to out:c, after US microseconds.
 * With orders for trouble, as {"n":7,"do":"crash"}:
 *	crash	the process aborts
 *	hang	it never returns
 *	stop	who gets it first stops the process (SIGSTOP) between what the
 *		handler did and what the worker makes of it; who gets it later
 *		takes "ms" milliseconds
 *	slow	takes "ms" milliseconds
 *
 * With {"n":7,"late":500} it is also emitted to late:c, 500 ms later; with
 * {"n":7,"mute":1} nothing is emitted.
 */
#include <redistribute/handler.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int numbers_open(const char *args, void **state_out, char *why,
			size_t why_size)
{
	static unsigned us;

	(void)why;
	(void)why_size;
	us = (unsigned)strtoul(args, NULL, 10);
	*state_out = &us;
	return RD_OK;
}

static unsigned long number_of(struct rd_context *ctx, const char *name)
{
	struct rd_slice text;
	char digits[24] = "";

	if (rd_member_text(ctx, name, &text) == RD_OK &&
	    text.len < sizeof(digits))
		memcpy(digits, text.data, text.len);
	return strtoul(digits, NULL, 10);
}

static void obey(struct rd_context *ctx, const struct rd_delivery *d)
{
	struct rd_slice order;

	if (rd_member_text(ctx, "do", &order) != RD_OK)
		return;
	if (rd_slice_is(order, "crash"))
		abort();
	while (rd_slice_is(order, "hang"))
		pause();
	if (rd_slice_is(order, "stop") && d->deliveries == 1)
		raise(SIGSTOP);
	else
		usleep((useconds_t)(number_of(ctx, "ms") * 1000));
}

/* n: what was emitted to the other channel. */
static int emit_late(struct rd_context *ctx, const struct rd_delivery *d,
		     struct rd_slice n, unsigned long ms)
{
	static const struct rd_slice no_type;
	char channel[256];
	int len = snprintf(channel, sizeof(channel), "late:%.*s",
			   (int)d->channel.len, d->channel.data);

	return rd_emit_later(ctx, (struct rd_slice){channel, (size_t)len},
			     no_type, RD_ENC_JSON, n, ms);
}

static int numbers_message(void *state, struct rd_context *ctx,
			   const struct rd_delivery *d)
{
	static const struct rd_slice no_type;
	const unsigned *us = state;
	char channel[256], json[32];
	int channel_len = snprintf(channel, sizeof(channel), "out:%.*s",
				   (int)d->channel.len, d->channel.data);
	int json_len =
	    snprintf(json, sizeof(json), "{\"n\":%lu}", number_of(ctx, "n"));
	struct rd_slice n = {json, (size_t)json_len};
	struct rd_slice to = {channel, (size_t)channel_len};
	unsigned long late = number_of(ctx, "late");
	int err = RD_OK;

	if (number_of(ctx, "mute") == 0)
		err = rd_emit(ctx, to, no_type, RD_ENC_JSON, n);
	if (err == RD_OK && late > 0)
		err = emit_late(ctx, d, n, late);
	if (*us > 0)
		usleep(*us);
	obey(ctx, d);
	return err;
}

RD_PUBLIC const struct rd_handler redistribute_handler = {
    .abi = RD_HANDLER_ABI,
    .size = sizeof(struct rd_handler),
    .name = "numbers",
    .open = numbers_open,
    .message = numbers_message,
};
