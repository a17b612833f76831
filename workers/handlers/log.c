/* SPDX-License-Identifier: MIT */
/*
 * log.c -- the handler `log`: one line in the worker's log for each message.
 *
 * What a worker does when it is told nothing else: see that messages arrive.
 * Text and JSON are shown as they are, cut to a line; of anything else its
 * kind and size.
 */
#include <redistribute/handler.h>

#include <stdio.h>

#define SHOWN 200 /* bytes of a payload */

static const char *const names[] = {
    [RD_ENC_JSON] = "json",       [RD_ENC_TEXT] = "text",
    [RD_ENC_MSGPACK] = "msgpack", [RD_ENC_BIN] = "bin",
    [RD_ENC_FIELDS] = "fields",
};

static int log_open(const char *args, void **state_out, char *why,
		    size_t why_size)
{
	(void)state_out;
	if (*args == '\0')
		return RD_OK;
	snprintf(why, why_size, "log takes no arguments, found \"%s\"", args);
	return RD_ECONFIG;
}

static int log_message(void *state, struct rd_context *ctx,
		       const struct rd_delivery *delivery)
{
	const struct rd_message *m = delivery->message;
	struct rd_slice shown = m->payload;
	char line[SHOWN + 400];

	(void)state;
	if (shown.len > SHOWN)
		shown.len = SHOWN;
	if (m->encoding == RD_ENC_FIELDS)
		snprintf(line, sizeof(line), "fields count=%zu",
			 m->field_count / 2);
	else if (m->encoding == RD_ENC_JSON || m->encoding == RD_ENC_TEXT)
		snprintf(line, sizeof(line), "%s %.*s%s%.*s%s",
			 names[m->encoding],
			 m->type.len < 255 ? (int)m->type.len : 255,
			 m->type.data == NULL ? "" : m->type.data,
			 m->type.data == NULL ? "" : " ", RD_SLICE_ARG(shown),
			 shown.len < m->payload.len ? "..." : "");
	else
		snprintf(line, sizeof(line), "%s bytes=%zu", names[m->encoding],
			 m->payload.len);
	rd_log_line(ctx, line);
	return RD_OK;
}

extern const struct rd_handler rd_handler_log;

const struct rd_handler rd_handler_log = {
    .abi = RD_HANDLER_ABI,
    .size = sizeof(struct rd_handler),
    .name = "log",
    .open = log_open,
    .message = log_message,
};
