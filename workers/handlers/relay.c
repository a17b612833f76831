/* SPDX-License-Identifier: MIT */
/*
 * relay.c -- the handler `relay`: validate messages, and pass them on.
 *
 *	--handler relay:to=CHANNEL[,require=a+b][,type=T]
 *
 * What is good appears on another channel, with the same type and payload; what
 * is not is a dead letter that says why.  Good means: of type T, and a map that
 * has these members, where they are asked for.  The fields of a foreign
 * producer's entry are passed on as a JSON object.
 */
#include <redistribute/handler.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS_MAX 16

struct relay {
	char *text; /* owned: what all others point into */
	const char *to;
	const char *type; /* NULL: any */
	const char *members[MEMBERS_MAX];
	size_t member_count;
};

static void relay_close(void *state)
{
	struct relay *r = state;

	free(r->text);
	free(r);
}

static int set_members(struct relay *r, char *list, char *why, size_t why_size)
{
	char *save = NULL;

	for (char *m = strtok_r(list, "+", &save); m != NULL;
	     m = strtok_r(NULL, "+", &save)) {
		if (r->member_count == MEMBERS_MAX) {
			snprintf(why, why_size, "expected at most %d members",
				 MEMBERS_MAX);
			return RD_ECONFIG;
		}
		r->members[r->member_count++] = m;
	}
	return RD_OK;
}

static int set_option(struct relay *r, char *option, char *why, size_t why_size)
{
	char *value = strchr(option, '=');

	if (value != NULL && *++value != '\0') {
		if (!strncmp(option, "require=", 8))
			return set_members(r, value, why, why_size);
		if (!strncmp(option, "type=", 5)) {
			r->type = value;
			return RD_OK;
		}
		if (!strncmp(option, "to=", 3)) {
			r->to = value;
			return RD_OK;
		}
	}
	snprintf(
	    why, why_size,
	    "expected to=CHANNEL, require=NAME+NAME... or type=TYPE, found "
	    "\"%s\"",
	    option);
	return RD_ECONFIG;
}

static int relay_open(const char *args, void **state_out, char *why,
		      size_t why_size)
{
	struct relay *r = calloc(1, sizeof(*r));
	char *save = NULL;
	int err = RD_OK;

	if (r == NULL || (r->text = strdup(args)) == NULL)
		abort();
	for (char *option = strtok_r(r->text, ",", &save);
	     option != NULL && err == RD_OK;
	     option = strtok_r(NULL, ",", &save))
		err = set_option(r, option, why, why_size);
	if (err == RD_OK && r->to == NULL) {
		snprintf(why, why_size, "expected to=CHANNEL");
		err = RD_ECONFIG;
	}
	if (err != RD_OK) {
		relay_close(r);
		return err;
	}
	*state_out = r;
	return RD_OK;
}

/* Writes what is wrong with the message into why; false: nothing is. */
static bool find_fault(const struct relay *r, struct rd_context *ctx,
		       const struct rd_message *m, char *why, size_t why_size)
{
	if (r->type != NULL && !rd_slice_is(m->type, r->type)) {
		snprintf(why, why_size, "its type is not %s", r->type);
		return true;
	}
	for (size_t i = 0; i < r->member_count; i++) {
		struct rd_slice value;
		int err = rd_member_text(ctx, r->members[i], &value);

		if (err == RD_EFORMAT)
			snprintf(why, why_size, "it is not a map");
		else if (err != RD_OK)
			snprintf(why, why_size, "it has no member %s",
				 r->members[i]);
		else
			continue;
		return true;
	}
	return false;
}

static int relay_message(void *state, struct rd_context *ctx,
			 const struct rd_delivery *delivery)
{
	const struct relay *r = state;
	const struct rd_message *m = delivery->message;
	enum rd_encoding encoding = m->encoding;
	struct rd_slice payload = m->payload;
	char why[300];

	if (find_fault(r, ctx, m, why, sizeof(why))) {
		rd_dead(ctx, why);
		return RD_OK;
	}
	if (encoding == RD_ENC_FIELDS) {
		(void)rd_payload_json(ctx, &payload);
		encoding = RD_ENC_JSON;
	}
	return rd_emit(ctx, rd_slice_str(r->to), m->type, encoding, payload);
}

extern const struct rd_handler rd_handler_relay;

const struct rd_handler rd_handler_relay = {
    .abi = RD_HANDLER_ABI,
    .size = sizeof(struct rd_handler),
    .name = "relay",
    .open = relay_open,
    .message = relay_message,
    .close = relay_close,
};
