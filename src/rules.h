/* SPDX-License-Identifier: MIT */
/*
 * rules.h -- what clients may do in which channels.
 *
 *	rule = PATTERN subscribe=WHO publish=WHO call=WHO
 *
 * WHO is anyone, handler (a worker is asked, through the channel that `events`
 * names) or nobody.  The first rule whose pattern matches holds, also for what
 * it does not name: that is then as without any rule, so anyone subscribes and
 * publishes, and calls go to the handler where there is one.  A call is always
 * answered by a handler, so call=anyone means the same as call=handler.
 *
 * The channel `events` itself is the gateways' own: clients may do nothing in
 * it, whatever the rules say.
 */
#ifndef RD_SRC_RULES_H
#define RD_SRC_RULES_H

#include "src/config.h"

enum rd_who { RD_WHO_ANYONE, RD_WHO_HANDLER, RD_WHO_NOBODY };
enum rd_deed { RD_DEED_SUBSCRIBE, RD_DEED_PUBLISH, RD_DEED_CALL, RD_DEEDS };

struct rd_rules;

/*
 * lines: as configured; events: the channel, "" for none; both are copied.
 * RD_ECONFIG with a sentence in why that names the rule.
 */
RD_MUST_CHECK int rd_rules_parse(const struct rd_strings *lines,
				 const char *events,
				 struct rd_rules **rules_out,
				 struct rd_buf *why);
void rd_rules_free(struct rd_rules **rules);
/* Who decides; for a call never RD_WHO_ANYONE. */
enum rd_who rd_rules_who(const struct rd_rules *rules, enum rd_deed deed,
			 struct rd_slice channel);

#endif
