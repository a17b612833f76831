/* SPDX-License-Identifier: MIT */
/*
 * example_statistic.c -- what a web server leaves to others to do.
 *
 * A web server (example_web.js, example_web.py) publishes {"agent":"...",
 * "ip":"..."} for each request, and goes on.  A team of workers does the rest,
 * which may take its time: here, find out which browser that was.
 *
 *	redistribute start --workers 2 --team team --consume statistic
 *		--handler ./example_statistic.so
 *
 * What came of it appears on the channel "visits": the browser is the type, the
 * address the text.  To count values there is a handler, statistic.c.
 */
#include <redistribute/handler.h>

#define TEXT(literal) ((struct rd_slice){(literal), sizeof(literal) - 1})

static bool has(struct rd_slice text, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= text.len; i++)
		if (!memcmp(text.data + i, word, len))
			return true;
	return false;
}

/* The first that it names: Edge says Chrome, too, and Chrome says Safari. */
static const char *browser_of(struct rd_slice agent)
{
	static const char *const names[][2] = {
	    {"Edg/", "Edge"},      {"Firefox/", "Firefox"},
	    {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	    {"curl/", "curl"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (has(agent, names[i][0]))
			return names[i][1];
	return "unknown";
}

static int on_request(void *state, struct rd_context *ctx,
		      const struct rd_delivery *delivery)
{
	struct rd_slice agent, ip;

	(void)state;
	(void)delivery;
	if (rd_member_text(ctx, "agent", &agent) != RD_OK ||
	    rd_member_text(ctx, "ip", &ip) != RD_OK) {
		rd_dead(ctx, "it has no agent and ip");
		return RD_OK;
	}
	return rd_emit(ctx, TEXT("visits"), rd_slice_str(browser_of(agent)),
		       RD_ENC_TEXT, ip);
}

const struct rd_handler redistribute_handler = {
    .abi = RD_HANDLER_ABI,
    .size = sizeof(struct rd_handler),
    .name = "example_statistic",
    .message = on_request,
    .concurrent = 1,
};
