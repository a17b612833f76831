/* SPDX-License-Identifier: MIT */
/*
 * example_chat.c -- what a chat server decides, for the chat page.
 *
 * The page (gateway/pages) needs no server of its own: rooms are channels.
 * With this one, each line is looked at before anybody sees it, and "/roll"
 * throws a die that nobody can load:
 *
 *	redistribute start --pages /usr/share/redistribute/pages
 *		--events chat-events
 *		--rule '* subscribe=anyone publish=handler'
 *		--team chat --consume chat-events --handler ./example_chat.so
 */
#include <redistribute/handler.h>

#include <stdio.h>
#include <sys/random.h>

#define LINE_MAX_BYTES 1000

static int roll(struct rd_context *ctx)
{
	unsigned char die;
	char line[64];

	do /* six numbers, equally often */
		if (getrandom(&die, 1, 0) != 1)
			return RD_EIO;
	while (die >= 252);
	snprintf(line, sizeof(line),
		 "{\"message\":\"rolled a %d\",\"name\":\"the die\"}",
		 die % 6 + 1);
	return rd_change(ctx, rd_slice_str("ROLL"), RD_ENC_JSON,
			 rd_slice_str(line));
}

static int on_publish(void *state, struct rd_context *ctx,
		      const struct rd_event *event)
{
	struct rd_slice line;

	(void)state;
	(void)event;
	if (rd_member_text(ctx, "message", &line) != RD_OK || line.len == 0 ||
	    line.len > LINE_MAX_BYTES)
		rd_refuse(ctx, "a line has 1 to 1000 bytes");
	else if (rd_slice_is(line, "/roll"))
		return roll(ctx);
	return RD_OK; /* allows what was not refused */
}

const struct rd_handler redistribute_handler = {
    .abi = RD_HANDLER_ABI,
    .size = sizeof(struct rd_handler),
    .name = "example_chat",
    .publish = on_publish,
    .concurrent = 1,
};
