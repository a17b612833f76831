/* SPDX-License-Identifier: MIT */
/*
 * rules.h -- what clients may do in which channels.
 *
 *	rule = PATTERN subscribe=WHO publish=WHO call=WHO slow=HOW rate=N
 *	       max-message=BYTES
 *
 * WHO is anyone, handler (a worker is asked, through the channel that `events`
 * names) or nobody.  The first rule whose pattern matches holds, also for what
 * it does not name: to subscribe and publish may then who rule-default says, as
 * a rule is nobody, and nobody may call.  Without a rule anyone subscribes and
 * publishes.  A call is always answered by a handler, so call=anyone means the
 * same as call=handler.  A blank in PATTERN is written "\ ".
 *
 * HOW says what becomes of a subscriber that cannot keep up: catchup (it gets
 * everything later; the default), newest (it is given the newest message when
 * it reads again, and told what it missed) or close.  rate bounds the messages
 * that one connection publishes in a second, max-message the bytes of one.
 *
 * The channel `events` itself is the gateways' own: clients may do nothing in
 * it, whatever the rules say.
 */
#ifndef RD_SRC_RULES_H
#define RD_SRC_RULES_H

#include "src/config.h"

enum rd_who { RD_WHO_ANYONE, RD_WHO_HANDLER, RD_WHO_NOBODY };
enum rd_deed { RD_DEED_SUBSCRIBE, RD_DEED_PUBLISH, RD_DEED_CALL, RD_DEEDS };
enum rd_slow { RD_SLOW_CATCHUP, RD_SLOW_NEWEST, RD_SLOW_CLOSE };

/* What a channel's rule says beside who may do what. */
struct rd_terms {
	enum rd_slow slow;
	uint64_t rate;      /* messages a second of one connection; 0: free */
	size_t place;       /* of this rate among all of rules; 0: no rate */
	size_t max_message; /* bytes of a payload; SIZE_MAX: free */
};

struct rd_rules;

/*
 * Of rule, rule-default and events, which are copied.  RD_ECONFIG with a
 * sentence in why that names the rule.
 */
RD_MUST_CHECK int rd_rules_parse(const struct rd_config *cfg,
				 struct rd_rules **rules_out,
				 struct rd_buf *why);
/* Appends a line with one blank between its words and none around them. */
void rd_rules_normal(const char *line, struct rd_buf *out);
void rd_rules_free(struct rd_rules **rules);
/* Who decides; for a call never RD_WHO_ANYONE. */
enum rd_who rd_rules_who(const struct rd_rules *rules, enum rd_deed deed,
			 struct rd_slice channel);
/* What else holds for a channel; borrowed until the rules are freed. */
const struct rd_terms *rd_rules_terms(const struct rd_rules *rules,
				      struct rd_slice channel);
/* The deeds that some rule leaves to a handler, a bit (1u << deed) each. */
unsigned rd_rules_asks(const struct rd_rules *rules);
/* How many rules have a rate: their places are 1 to this. */
size_t rd_rules_rates(const struct rd_rules *rules);

#endif
