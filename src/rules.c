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

#include <stdlib.h>

struct rule {
	char *pattern; /* owned */
	enum rd_who who[RD_DEEDS];
};

struct rd_rules {
	struct rule *items; /* owned; count of them */
	size_t count;
	char *events;         /* owned; "" for none */
	enum rd_who call_who; /* who answers a call that no rule names */
};

static const char *const deed_names[RD_DEEDS] = {
    [RD_DEED_SUBSCRIBE] = "subscribe",
    [RD_DEED_PUBLISH] = "publish",
    [RD_DEED_CALL] = "call",
};
static const char *const who_names[] = {
    [RD_WHO_ANYONE] = "anyone",
    [RD_WHO_HANDLER] = "handler",
    [RD_WHO_NOBODY] = "nobody",
};

/* The index of a word among names, or -1. */
static int find(struct rd_slice word, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
		if (rd_slice_is(word, names[i]))
			return i;
	return -1;
}

/* The next word between blanks; empty at the end. */
static struct rd_slice take_word(const char **at)
{
	struct rd_slice word;

	*at += strspn(*at, " \t");
	word = (struct rd_slice){*at, strcspn(*at, " \t")};
	*at += word.len;
	return word;
}

static int complain(struct rd_buf *why, const char *line, const char *text)
{
	rd_buf_addf(why, "rule: \"%s\": %s", line, text);
	return RD_ECONFIG;
}

/* Reads "deed=who". */
static int read_term(struct rd_slice word, const char *line, bool handlers,
		     bool *named, struct rule *rule, struct rd_buf *why)
{
	const char *equals = memchr(word.data, '=', word.len);
	struct rd_slice left = word, right = {"", 0};
	int deed, who;

	if (equals != NULL) {
		left.len = (size_t)(equals - word.data);
		right.data = equals + 1;
		right.len = word.len - left.len - 1;
	}
	deed = find(left, deed_names, RD_DEEDS);
	who = find(right, who_names, 3);
	if (deed < 0 || equals == NULL)
		return complain(why, line,
				"expected subscribe=, publish= or call= behind "
				"the pattern");
	if (who < 0)
		return complain(why, line,
				"expected anyone, handler or nobody "
				"behind each =");
	if (named[deed])
		return complain(why, line, "says the same thing twice");
	if (deed == RD_DEED_CALL && who == RD_WHO_ANYONE)
		who = RD_WHO_HANDLER;
	if (who == RD_WHO_HANDLER && !handlers)
		return complain(why, line,
				"a handler can only be asked through a "
				"channel: give events");
	named[deed] = true;
	rule->who[deed] = (enum rd_who)who;
	return RD_OK;
}

static int read_rule(const char *line, bool handlers, struct rule *rule,
		     struct rd_buf *why)
{
	bool named[RD_DEEDS] = {false};
	const char *at = line;
	struct rd_slice word = take_word(&at);
	int err = RD_OK, terms = 0;

	if (!rd_glob_valid(word))
		return complain(why, line,
				"expected a channel or a pattern (* ? [abc]) "
				"first");
	rule->pattern = rd_strndup(word.data, word.len);
	rule->who[RD_DEED_CALL] = handlers ? RD_WHO_HANDLER : RD_WHO_NOBODY;
	while (err == RD_OK && (word = take_word(&at)).len > 0) {
		err = read_term(word, line, handlers, named, rule, why);
		terms++;
	}
	if (err == RD_OK && terms == 0)
		return complain(why, line,
				"expected subscribe=, publish= or call= behind "
				"the pattern");
	return err;
}

int rd_rules_parse(const struct rd_strings *lines, const char *events,
		   struct rd_rules **rules_out, struct rd_buf *why)
{
	struct rd_rules *rules = rd_new(struct rd_rules);
	bool handlers = events[0] != '\0';

	rules->events = rd_strdup(events);
	rules->call_who = handlers ? RD_WHO_HANDLER : RD_WHO_NOBODY;
	rules->items = rd_new_array(struct rule, (size_t)lines->count);
	for (int i = 0; i < lines->count; i++) {
		rules->count++;
		if (read_rule(lines->items[i], handlers, &rules->items[i],
			      why) != RD_OK) {
			rd_rules_free(&rules);
			return RD_ECONFIG;
		}
	}
	*rules_out = rules;
	return RD_OK;
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

enum rd_who rd_rules_who(const struct rd_rules *rules, enum rd_deed deed,
			 struct rd_slice channel)
{
	if (rules->events[0] != '\0' && rd_slice_is(channel, rules->events))
		return RD_WHO_NOBODY;
	for (size_t i = 0; i < rules->count; i++)
		if (rd_glob_match(rd_slice_str(rules->items[i].pattern),
				  channel))
			return rules->items[i].who[deed];
	return deed == RD_DEED_CALL ? rules->call_who : RD_WHO_ANYONE;
}
