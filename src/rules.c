/* SPDX-License-Identifier: MIT */
/*
 * rules.c -- what clients may do in which channels; see rules.h.
 *
 * A rule is read once, at the start, into a pattern and one answer for each
 * deed, those it does not name included.  So a look-up is a walk over patterns
 * and nothing else.
 *
 * Not here: how a handler is asked (gateway/asks.c), how a refusal is told.
 */
#include "src/rules.h"
#include "src/glob.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>

#define RATE_MAX    1000000
#define MESSAGE_MAX 67108864 /* as of the option max-message */

struct rule {
	char *pattern; /* owned */
	enum rd_who who[RD_DEEDS];
	struct rd_terms terms;
};

struct rd_rules {
	struct rule *items; /* owned; count of them */
	size_t count;
	size_t rates; /* of them, with a rate */
	char *events; /* owned; "" for none */
};

static const char *const who_names[] = {
    [RD_WHO_ANYONE] = "anyone",
    [RD_WHO_HANDLER] = "handler",
    [RD_WHO_NOBODY] = "nobody",
};
static const char *const slow_names[] = {
    [RD_SLOW_CATCHUP] = "catchup",
    [RD_SLOW_NEWEST] = "newest",
    [RD_SLOW_CLOSE] = "close",
};

/* Of a rule that says nothing else. */
static const struct rd_terms no_terms = {.max_message = SIZE_MAX};

/* What a rule is read into. */
struct reading {
	const char *line;
	bool handlers;      /* there are some to ask */
	enum rd_who unsaid; /* what holds for deeds that it does not name */
	unsigned seen;      /* a bit for each row of keys */
	struct rule *rule;
	struct rd_buf *why;
};

/* The index of a word among names, or -1. */
static int find(struct rd_slice word, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
		if (rd_slice_is(word, names[i]))
			return i;
	return -1;
}

/* The next word between blanks; empty at the end.  A blank behind a backslash
 * is one of its letters, as in any pattern. */
static struct rd_slice take_word(const char **at)
{
	struct rd_slice word;
	const char *p;

	*at += strspn(*at, " \t");
	for (p = *at; *p != '\0' && *p != ' ' && *p != '\t'; p++)
		if (*p == '\\' && p[1] != '\0')
			p++;
	word = (struct rd_slice){*at, (size_t)(p - *at)};
	*at = p;
	return word;
}

static int complain(struct reading *r, const char *text)
{
	rd_buf_addf(r->why, "rule: \"%s\": %s", r->line, text);
	return RD_ECONFIG;
}

static int read_who(struct reading *r, enum rd_deed deed, struct rd_slice value)
{
	int who = find(value, who_names, 3);

	if (who < 0)
		return complain(r, "expected anyone, handler or nobody "
				   "behind subscribe=, publish= and call=");
	if (deed == RD_DEED_CALL && who == RD_WHO_ANYONE)
		who = RD_WHO_HANDLER;
	if (who == RD_WHO_HANDLER && !r->handlers)
		return complain(r, "a handler can only be asked through a "
				   "channel: give events");
	r->rule->who[deed] = (enum rd_who)who;
	return RD_OK;
}

static int read_subscribe(struct reading *r, struct rd_slice value)
{
	return read_who(r, RD_DEED_SUBSCRIBE, value);
}

static int read_publish(struct reading *r, struct rd_slice value)
{
	return read_who(r, RD_DEED_PUBLISH, value);
}

static int read_call(struct reading *r, struct rd_slice value)
{
	return read_who(r, RD_DEED_CALL, value);
}

static int read_slow(struct reading *r, struct rd_slice value)
{
	int slow = find(value, slow_names, 3);

	if (slow < 0)
		return complain(r, "expected catchup, newest or close behind "
				   "slow=");
	r->rule->terms.slow = (enum rd_slow)slow;
	return RD_OK;
}

/* A number from 1 to max; where units is set, k and m may follow it. */
static bool read_number(struct rd_slice text, bool units, uint64_t max,
			uint64_t *number_out)
{
	uint64_t n = 0, unit = 1;

	if (units && text.len > 1) {
		char last = text.data[text.len - 1];

		unit = last == 'k' ? 1 << 10 : last == 'm' ? 1 << 20 : 1;
		text.len -= unit > 1;
	}
	if (text.len < 1 || text.len > 9)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text.data[i] - '0');
	}
	*number_out = n * unit;
	return n >= 1 && n * unit <= max;
}

static int read_rate(struct reading *r, struct rd_slice value)
{
	if (!read_number(value, false, RATE_MAX, &r->rule->terms.rate))
		return complain(r, "expected a number from 1 to 1000000 "
				   "behind rate=");
	return RD_OK;
}

static int read_max_message(struct reading *r, struct rd_slice value)
{
	uint64_t n;

	if (!read_number(value, true, MESSAGE_MAX, &n))
		return complain(r, "expected a size (512, 64k, 16m) from 1 to "
				   "64m behind max-message=");
	r->rule->terms.max_message = (size_t)n;
	return RD_OK;
}

static const struct {
	const char *name;
	int (*read)(struct reading *r, struct rd_slice value);
} keys[] = {
    {"subscribe", read_subscribe}, {"publish", read_publish},
    {"call", read_call},           {"slow", read_slow},
    {"rate", read_rate},           {"max-message", read_max_message},
};
#define KEYS (sizeof(keys) / sizeof(*keys))
#define EXPECTED                                                               \
	"expected subscribe=, publish=, call=, slow=, rate= or max-message= "  \
	"behind the pattern"

/* Reads "key=value". */
static int read_term(struct reading *r, struct rd_slice word)
{
	const char *equals = memchr(word.data, '=', word.len);
	struct rd_slice name = word, value;
	size_t k = 0;

	if (equals == NULL)
		return complain(r, EXPECTED);
	name.len = (size_t)(equals - word.data);
	value = (struct rd_slice){equals + 1, word.len - name.len - 1};
	while (k < KEYS && !rd_slice_is(name, keys[k].name))
		k++;
	if (k == KEYS)
		return complain(r, EXPECTED);
	if (r->seen & 1u << k)
		return complain(r, "says the same thing twice");
	r->seen |= 1u << k;
	return keys[k].read(r, value);
}

static int read_rule(struct reading *r)
{
	const char *at = r->line;
	struct rd_slice word = take_word(&at);
	int err = RD_OK;

	if (!rd_glob_valid(word))
		return complain(r, "expected a channel or a pattern (* ? "
				   "[abc]) first");
	r->rule->pattern = rd_strndup(word.data, word.len);
	r->rule->who[RD_DEED_SUBSCRIBE] = r->unsaid;
	r->rule->who[RD_DEED_PUBLISH] = r->unsaid;
	r->rule->who[RD_DEED_CALL] = RD_WHO_NOBODY;
	r->rule->terms = no_terms;
	while (err == RD_OK && (word = take_word(&at)).len > 0)
		err = read_term(r, word);
	if (err == RD_OK && r->seen == 0)
		return complain(r, EXPECTED);
	return err;
}

int rd_rules_parse(const struct rd_config *cfg, struct rd_rules **rules_out,
		   struct rd_buf *why)
{
	const struct rd_strings *lines = &cfg->rule;
	struct rd_rules *rules = rd_new(struct rd_rules);
	bool handlers = cfg->events[0] != '\0';
	int unsaid = find(rd_slice_str(cfg->rule_default), who_names, 3);

	assert(unsaid >= 0); /* the option takes no other word */
	rules->events = rd_strdup(cfg->events);
	rules->items = rd_new_array(struct rule, (size_t)lines->count);
	if (unsaid == RD_WHO_HANDLER && !handlers) {
		rd_buf_adds(why, "rule-default: a handler can only be asked "
				 "through a channel: give events");
		goto fail;
	}
	for (int i = 0; i < lines->count; i++) {
		struct rule *rule = &rules->items[i];
		struct reading r = {.line = lines->items[i],
				    .handlers = handlers,
				    .unsaid = (enum rd_who)unsaid,
				    .rule = rule,
				    .why = why};

		rules->count++;
		if (read_rule(&r) != RD_OK)
			goto fail;
		if (rule->terms.rate > 0)
			rule->terms.place = ++rules->rates;
	}
	*rules_out = rules;
	return RD_OK;
fail:
	rd_rules_free(&rules);
	return RD_ECONFIG;
}

void rd_rules_free(struct rd_rules **rules_p)
{
	struct rd_rules *rules = *rules_p;

	if (rules == NULL)
		return;
	for (size_t i = 0; i < rules->count; i++)
		free(rules->items[i].pattern);
	free(rules->items);
	free(rules->events);
	free(rules);
	*rules_p = NULL;
}

/* The rule that holds for a channel, or NULL. */
static const struct rule *find_rule(const struct rd_rules *rules,
				    struct rd_slice channel)
{
	for (size_t i = 0; i < rules->count; i++)
		if (rd_glob_match(rd_slice_str(rules->items[i].pattern),
				  channel))
			return &rules->items[i];
	return NULL;
}

enum rd_who rd_rules_who(const struct rd_rules *rules, enum rd_deed deed,
			 struct rd_slice channel)
{
	const struct rule *rule;

	if (rules->events[0] != '\0' && rd_slice_is(channel, rules->events))
		return RD_WHO_NOBODY;
	rule = find_rule(rules, channel);
	if (rule != NULL)
		return rule->who[deed];
	return deed == RD_DEED_CALL ? RD_WHO_NOBODY : RD_WHO_ANYONE;
}

const struct rd_terms *rd_rules_terms(const struct rd_rules *rules,
				      struct rd_slice channel)
{
	const struct rule *rule = find_rule(rules, channel);

	return rule == NULL ? &no_terms : &rule->terms;
}

size_t rd_rules_rates(const struct rd_rules *rules)
{
	return rules->rates;
}

unsigned rd_rules_asks(const struct rd_rules *rules)
{
	unsigned asks = 0;

	for (size_t i = 0; i < rules->count; i++)
		for (int deed = 0; deed < RD_DEEDS; deed++)
			if (rules->items[i].who[deed] == RD_WHO_HANDLER)
				asks |= 1u << deed;
	return asks;
}

void rd_rules_normal(const char *line, struct rd_buf *out)
{
	struct rd_slice word;

	for (size_t from = out->len; (word = take_word(&line)).len > 0;) {
		rd_buf_adds(out, out->len > from ? " " : "");
		rd_buf_addslice(out, word);
	}
}
