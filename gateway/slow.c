/* SPDX-License-Identifier: MIT */
/*
 * slow.c -- what becomes of a live subscription whose client cannot keep up;
 * see subscription.h, and slow= of rules.h.
 *
 *	catchup	it is given what it missed from where it stands: nothing is lost
 *	newest	when it has drained, it goes on with the newest message, and is
 *		told by a gap that it missed what stood before that
 *	close	its connection is closed
 *
 * Only who was live skips anything: who asks for older messages gets them, in
 * whatever time it takes.  Where the newest message is not in memory any more,
 * nothing is skipped: its channel is not a busy one.
 *
 * Not here: when a client is full (conn_io.c).
 */
#include "gateway/subscription_impl.h"

void rd_sub_fall_back(struct rd_subscription *sub, struct rd_position at)
{
	struct rd_feeds *feeds = sub->feed->feeds;
	const struct rd_terms *terms =
	    rd_rules_terms(feeds->env.rules, rd_channel_name(sub->channel));

	feeds->counters.fell_back++;
	sub->cursor = at.id;
	sub->count = at.count;
	sub->life = sub->channel->life;
	sub->skipping = terms->slow == RD_SLOW_NEWEST;
	rd_sub_enter(sub, RD_SUB_HUNGRY);
	if (terms->slow != RD_SLOW_CLOSE)
		return;
	feeds->counters.slow_closes++;
	rd_conn_close(sub->feed->conn, 1013, "too slow for a channel");
}

void rd_sub_skip(struct rd_subscription *sub)
{
	struct rd_channel *ch = sub->channel;
	struct rd_gap gap = {.from = sub->cursor, .lost = RD_COUNT_UNKNOWN};
	struct rd_ring_at at;

	sub->skipping = false;
	if (sub->life != ch->life || !rd_ring_newest(ch->ring, &at) ||
	    rd_id_cmp(at.is.id, sub->cursor) <= 0)
		return;
	gap.first = rd_ring_peek(&at);
	gap.to = at.is.id;
	gap.count = at.is.count;
	if (at.is.count != RD_COUNT_UNKNOWN && at.is.count > sub->count)
		gap.lost = at.is.count - sub->count;
	sub->feed->feeds->counters.skips++;
	rd_sub_gap(sub, &gap);
	sub->cursor = at.is.id;
	sub->count = at.is.count;
}
