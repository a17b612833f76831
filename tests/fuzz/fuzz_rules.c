/* SPDX-License-Identifier: MIT */
/*
 * fuzz_rules.c -- any rules into src/rules.c.
 *
 * The first byte says whether there is a channel for events and what the
 * default is; the first line is a channel; each further line is a rule.  Rules
 * mean the same however they are laid out, the first that matches holds, and
 * what nobody may do, nobody may.
 */
#include "src/glob.h"
#include "src/rules.h"
#include "src/utf8.h"
#include "tests/fuzz/fuzz.h"

#define MAX 16 /* rules */

static struct rd_rules *parse(struct rd_config *cfg, char **lines, int count,
			      struct rd_buf *why)
{
	struct rd_rules *rules = NULL;

	cfg->rule = (struct rd_strings){lines, count, 0};
	if (rd_rules_parse(cfg, &rules, why) != RD_OK)
		assert(rules == NULL && why->len > 0);
	else
		assert(rules != NULL && why->len == 0);
	cfg->rule = (struct rd_strings){0};
	return rules;
}

static void check_same(const struct rd_rules *a, const struct rd_rules *b,
		       struct rd_slice channel)
{
	const struct rd_terms *t = rd_rules_terms(a, channel),
			      *u = rd_rules_terms(b, channel);

	for (int deed = 0; deed < RD_DEEDS; deed++)
		assert(rd_rules_who(a, (enum rd_deed)deed, channel) ==
		       rd_rules_who(b, (enum rd_deed)deed, channel));
	assert(t->slow == u->slow && t->rate == u->rate &&
	       t->max_message == u->max_message &&
	       (t->place == 0) == (u->place == 0));
}

static void check_channel(const struct rd_config *cfg,
			  const struct rd_rules *rules, struct rd_slice channel)
{
	const struct rd_terms *terms = rd_rules_terms(rules, channel);
	bool events = *cfg->events != '\0' && rd_slice_is(channel, cfg->events);

	assert(terms->slow <= RD_SLOW_CLOSE && terms->rate <= 1000000);
	assert(terms->max_message >= 1);
	assert((terms->place > 0) == (terms->rate > 0));
	assert(terms->place <= rd_rules_rates(rules));
	for (int deed = 0; deed < RD_DEEDS; deed++) {
		enum rd_who who =
		    rd_rules_who(rules, (enum rd_deed)deed, channel);

		assert(!events || who == RD_WHO_NOBODY);
		assert(who != RD_WHO_HANDLER ||
		       (*cfg->events != '\0' &&
			rd_rules_asks(rules) & 1u << deed));
		assert(deed != RD_DEED_CALL || who != RD_WHO_ANYONE);
	}
}

/* One at a time: the first that matches is the one that holds. */
static void check_first(struct rd_config *cfg, const struct rd_rules *rules,
			char **lines, int count, struct rd_slice channel)
{
	struct rd_rules *one;
	struct rd_buf why = RD_BUF_INIT;

	for (int i = 0; i < count; i++) {
		struct rd_buf normal = RD_BUF_INIT;
		struct rd_slice pattern;
		size_t end = 0;
		bool match;

		rd_rules_normal(lines[i], &normal);
		pattern = rd_buf_slice(&normal);
		while (end < pattern.len && pattern.data[end] != ' ')
			end += pattern.data[end] == '\\' ? 2 : 1;
		pattern.len = end < pattern.len ? end : pattern.len;
		match = rd_glob_match(pattern, channel);
		rd_buf_fini(&normal);
		if (!match)
			continue;
		one = parse(cfg, &lines[i], 1, &why);
		assert(one != NULL);
		check_same(rules, one, channel);
		rd_rules_free(&one);
		return;
	}
	one = parse(cfg, NULL, 0, &why);
	assert(one != NULL);
	check_same(rules, one, channel);
	rd_rules_free(&one);
	rd_buf_fini(&why);
}

static void check_layout(struct rd_config *cfg, const struct rd_rules *rules,
			 char **lines, int count, struct rd_slice channel)
{
	char *normal[MAX];
	struct rd_buf why = RD_BUF_INIT, text = RD_BUF_INIT;
	struct rd_rules *again;

	for (int i = 0; i < count; i++) {
		rd_buf_clear(&text);
		rd_rules_normal(lines[i], &text);
		normal[i] = strdup(rd_buf_text(&text));
		rd_buf_clear(&text);
		rd_rules_normal(normal[i], &text);
		assert(rd_slice_is(rd_buf_slice(&text), normal[i]));
	}
	again = parse(cfg, normal, count, &why);
	assert((again == NULL) == (rules == NULL));
	if (rules != NULL)
		check_same(rules, again, channel);
	rd_rules_free(&again);
	for (int i = 0; i < count; i++)
		free(normal[i]);
	rd_buf_fini(&why);
	rd_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const defaults[] = {"nobody", "anyone", "handler"};
	struct rd_slice in = fuzz_input(data, len), channel, line;
	unsigned how = fuzz_byte(&in);
	struct rd_buf why = RD_BUF_INIT;
	struct rd_rules *rules;
	struct rd_config cfg;
	char *lines[MAX];
	int count = 0;

	rd_config_init(&cfg);
	free(cfg.events);
	free(cfg.rule_default);
	cfg.events = strdup(how & 1 ? "events" : "");
	cfg.rule_default = strdup(defaults[(how >> 1) % 3]);
	channel = fuzz_until(&in, '\n');
	while (in.len > 0 && count < MAX) {
		line = fuzz_until(&in, '\n');
		lines[count++] = strndup(line.data, line.len);
	}
	rules = parse(&cfg, lines, count, &why);
	check_layout(&cfg, rules, lines, count, channel);
	if (rules != NULL) {
		check_channel(&cfg, rules, channel);
		check_channel(&cfg, rules, rd_slice_str("events"));
		if (!rd_slice_is(channel, "events"))
			check_first(&cfg, rules, lines, count, channel);
	}
	rd_rules_free(&rules);
	while (count > 0)
		free(lines[--count]);
	rd_config_fini(&cfg);
	rd_buf_fini(&why);
	return 0;
}
