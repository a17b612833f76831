/* SPDX-License-Identifier: MIT */
/*
 * statistic.c -- the handler `statistic`: counts messages by their fields.
 *
 *	--handler statistic[:fields=agent+ip,to=totals]
 *
 * A web server publishes {"agent":"...","ip":"..."} for each request; this
 * counts how often each value came, for the whole team, and the new totals
 * appear on another channel (rd_tally() in handler.h has their form).  A
 * message without such a field adds nothing to it.
 */
#include <redistribute/handler.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 16

struct statistic {
	char *text; /* owned: what fields and to point into */
	const char *fields[FIELDS_MAX];
	size_t field_count;
	const char *to;
};

static void statistic_close(void *state)
{
	struct statistic *s = state;

	free(s->text);
	free(s);
}

static int set_fields(struct statistic *s, char *list, char *why,
		      size_t why_size)
{
	char *save = NULL;

	s->field_count = 0;
	for (char *f = strtok_r(list, "+", &save); f != NULL;
	     f = strtok_r(NULL, "+", &save)) {
		if (s->field_count == FIELDS_MAX || strlen(f) > 64 ||
		    strchr(f, '=') != NULL) {
			snprintf(why, why_size,
				 "expected at most %d field names of at most "
				 "64 bytes, without '='",
				 FIELDS_MAX);
			return RD_ECONFIG;
		}
		s->fields[s->field_count++] = f;
	}
	return RD_OK;
}

static int set_option(struct statistic *s, char *option, char *why,
		      size_t why_size)
{
	if (!strncmp(option, "fields=", 7) && option[7] != '\0')
		return set_fields(s, option + 7, why, why_size);
	if (!strncmp(option, "to=", 3) && option[3] != '\0') {
		s->to = option + 3;
		return RD_OK;
	}
	snprintf(why, why_size,
		 "expected fields=NAME+NAME... or to=CHANNEL, found \"%s\"",
		 option);
	return RD_ECONFIG;
}

static int statistic_open(const char *args, void **state_out, char *why,
			  size_t why_size)
{
	struct statistic *s = calloc(1, sizeof(*s));
	char *save = NULL;
	int err = RD_OK;

	if (s == NULL || (s->text = strdup(args)) == NULL)
		abort();
	s->fields[0] = "agent";
	s->fields[1] = "ip";
	s->field_count = 2;
	s->to = "totals";
	for (char *option = strtok_r(s->text, ",", &save);
	     option != NULL && err == RD_OK;
	     option = strtok_r(NULL, ",", &save))
		err = set_option(s, option, why, why_size);
	if (err != RD_OK) {
		statistic_close(s);
		return err;
	}
	*state_out = s;
	return RD_OK;
}

static int statistic_message(void *state, struct rd_context *ctx,
			     const struct rd_delivery *delivery)
{
	const struct statistic *s = state;

	(void)delivery;
	for (size_t i = 0; i < s->field_count; i++) {
		struct rd_slice value;
		int err = rd_member_text(ctx, s->fields[i], &value);

		if (err == RD_ENOTFOUND || err == RD_EFORMAT)
			continue;
		if (err == RD_OK)
			err = rd_tally(ctx, rd_slice_str(s->to),
				       rd_slice_str(s->fields[i]), value);
		if (err != RD_OK)
			return err;
	}
	return RD_OK;
}

extern const struct rd_handler rd_handler_statistic;

const struct rd_handler rd_handler_statistic = {
    .abi = RD_HANDLER_ABI,
    .size = sizeof(struct rd_handler),
    .name = "statistic",
    .open = statistic_open,
    .message = statistic_message,
    .close = statistic_close,
};
