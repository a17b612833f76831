/* SPDX-License-Identifier: MIT */
/*
 * channel_read.c -- follow one channel's stream; see channel.h.
 *
 * The doorbell says when to read.  A read takes a page, about PAGE_BYTES at
 * the size that entries had lately, so that neither one large message nor a
 * thousand small ones make a reply that stalls the loop.  What is new may be
 * larger than all before: PAGE_ENTRIES bound what that costs.  A script that
 * counts bytes (page.lua) would make each read dearer, and nothing is read
 * here twice: a page holds no more than publishers have just sent.
 *
 * A read begins with the entry at the tail, which was handed on before: as
 * long as it is still there, nothing behind it can have been trimmed, and the
 * stream is the one that was read all the time.  If it is not, the next read
 * looks at the stream itself (look.h), at the same moment as it takes the page
 * that goes with the answer.  So a gap is told before what follows it, and
 * none is missed: trimming that was faster than this gateway, a stream that
 * somebody has deleted, one that a failover has moved back.
 *
 * A reply may come after the last follower has gone: the channel is freed only
 * then, out of sight of everybody else.
 *
 * Not here: older entries (fetch.c reads them), encoding (frame.c).
 */
#include "gateway/channel_impl.h"
#include "gateway/look.h"
#include "src/log.h"

#define PAGE_BYTES   131072
#define PAGE_ENTRIES 128

static void channel_take(struct rd_channel *ch, struct rd_entries entries)
{
	struct rd_channels *channels = ch->channels;
	struct rd_entries walk = entries;
	struct rd_entry entry = {.id = ch->tail};
	struct rd_ring_at at;
	uint64_t n = 0;

	while (rd_entries_next(&walk, &entry)) {
		rd_trail_add(ch->trail, entry.id);
		n++;
	}
	if (n == 0)
		return;
	rd_channel_learn(ch, entries);
	rd_ring_append(channels->rings, &ch->ring,
		       (struct rd_position){ch->tail, ch->count}, entries, &at);
	channels->entries += n;
	channels->ops->entries(channels->arg, ch, &at);
	ch->tail = entry.id;
	ch->anchored = true;
	if (ch->count != RD_COUNT_UNKNOWN)
		ch->count += n;
	channels->ops->moved(channels->arg, ch);
	rd_rings_shrink(channels->rings);
}

/* The tail is of another stream, or of this one before it went back; in that
 * case its last entry was handed on, and we go on behind it. */
static void channel_foreign(struct rd_channel *ch, struct rd_gap *gap,
			    const struct rd_stream_info *info)
{
	struct rd_ring_at at;
	bool known = rd_id_cmp(info->last, RD_ID_ZERO) != 0 &&
		     rd_channel_recall(ch, info->last, &at) == RD_RING_AT;

	if (known) {
		gap->first = RD_ID_ZERO;
		gap->to = info->last;
	}
	gap->count = known && info->counts ? info->added : gap->count;
	ch->channels->ops->gap(ch->channels->arg, ch, gap);
	rd_channel_forget(ch, known);
	ch->count = gap->count;
	if (known) {
		ch->tail = info->last;
		ch->anchored = info->newest;
	}
	ch->channels->ops->moved(ch->channels->arg, ch);
}

/* Something was lost: on with what is there. */
static void channel_skip(struct rd_channel *ch, const struct rd_gap *gap)
{
	ch->channels->ops->gap(ch->channels->arg, ch, gap);
	rd_trail_free(&ch->trail);
	ch->tail = gap->to;
	ch->count = gap->count;
	ch->anchored = false;
	ch->channels->ops->moved(ch->channels->arg, ch);
}

/* The entry at the tail is not there. */
static enum rd_verdict channel_judge(struct rd_channel *ch,
				     const struct rd_look *look,
				     struct rd_gap *gap)
{
	const struct rd_stream_info *info = &look->info;
	struct rd_entries it = look->entries;
	struct rd_entry next = {.id = RD_ID_ZERO};
	enum rd_verdict verdict;

	(void)rd_entries_next(&it, &next);
	verdict = rd_judge(info, (struct rd_position){ch->tail, ch->count},
			   next.id, gap);
	if (verdict == RD_VERDICT_WHOLE && ch->count == RD_COUNT_UNKNOWN)
		ch->count = gap->count; /* from here on it is known */
	/* What was an entry of ours and is none of this stream. */
	if (verdict == RD_VERDICT_STRANGE) {
		gap->first = info->first;
		gap->to = rd_info_before(info, gap->first);
		gap->count = rd_info_base(info);
		return RD_VERDICT_FOREIGN;
	}
	return verdict;
}

static void channel_look(struct rd_channel *ch, const struct rd_look *look)
{
	struct rd_gap gap;

	ch->suspicious = false;
	if (look->exists) {
		channel_take(ch, look->entries);
		return;
	}
	switch (channel_judge(ch, look, &gap)) {
	case RD_VERDICT_FOREIGN:
		channel_foreign(ch, &gap, &look->info);
		return; /* the bell is rung again */
	case RD_VERDICT_STRANGE:
	case RD_VERDICT_GAP:
		channel_skip(ch, &gap);
		break;
	case RD_VERDICT_WHOLE:
		ch->anchored = false;
		break;
	}
	channel_take(ch, look->entries);
}

/* True where the reply could be used; else a look must tell. */
static bool channel_page(struct rd_channel *ch, struct rd_entries entries)
{
	struct rd_entry first;

	if (ch->anchored) {
		if (!rd_entries_next(&entries, &first) ||
		    rd_id_cmp(first.id, ch->tail) != 0)
			return false;
	} else if (ch->count != RD_COUNT_UNKNOWN &&
		   rd_entries_count(&entries) > 0) {
		return false;
	}
	channel_take(ch, entries);
	return true;
}

static bool channel_gone(struct rd_channel *ch)
{
	ch->reading = false;
	if (ch->users > 0)
		return false;
	rd_channel_free(ch); /* the last follower has gone meanwhile */
	return true;
}

static void channel_answered(struct rd_channel *ch, struct rd_id before,
			     bool more)
{
	rd_bell_answered(ch->channels->doorbell, &ch->bell,
			 rd_id_cmp(before, ch->tail) != 0, more);
}

static void channel_failed(struct rd_channel *ch, int err,
			   const struct rd_reply *reply)
{
	if (err == RD_EREDIS)
		rd_log(RD_LOG_WARN, "channel.read", "channel=%.*s why=%s",
		       RD_SLICE_ARG(rd_channel_name(ch)), reply->str.data);
	channel_answered(ch, ch->tail, ch->stale);
	ch->stale = false;
}

static void on_page(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_channel *ch = arg;
	struct rd_entries entries = rd_entries_of(reply);
	struct rd_id before = ch->tail;
	bool full = rd_entries_count(&entries) >= ch->asked + ch->anchored;

	if (channel_gone(ch))
		return;
	if (err != RD_OK || ch->stale) {
		channel_failed(ch, err, reply);
		return;
	}
	ch->suspicious = !channel_page(ch, entries);
	channel_answered(ch, before, full || ch->suspicious);
}

static void on_look(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_channel *ch = arg;
	struct rd_place place = {RD_PLACE_AFTER, ch->tail, ch->count};
	uint32_t life = ch->life;
	struct rd_look look;
	bool full;

	if (channel_gone(ch))
		return;
	if (err != RD_OK || ch->stale) {
		channel_failed(ch, err, reply);
		return;
	}
	rd_look_read(reply, &place, NULL, NULL, &look);
	full = !look.all;
	channel_look(ch, &look);
	channel_answered(ch, place.id, full || life != ch->life);
}

/* The script does not arm the bell: XLEN does, before it. */
static int send_look(struct rd_channel *ch, struct rd_redis *link)
{
	const struct rd_slice arm[] = {rd_slice_str("XLEN"),
				       rd_channel_key(ch)};
	struct rd_place place = {RD_PLACE_AFTER, ch->tail, ch->count};
	int err = rd_redis_send(link, NULL, NULL, arm, 2);

	if (err != RD_OK)
		return err;
	return rd_look_send(link, arm[1], &place, ch->asked, NULL, on_look, ch);
}

static int send_page(struct rd_channel *ch, struct rd_redis *link)
{
	struct rd_id from = ch->tail;

	if (!ch->anchored)
		from = rd_id_next(from);
	return rd_stream_range(link, rd_channel_key(ch), from, RD_ID_MAX,
			       ch->asked + ch->anchored, on_page, ch);
}

/* Is the tail an offset of which there is no entry to begin a page with? */
static bool is_floating(const struct rd_channel *ch)
{
	return !ch->anchored && rd_id_cmp(ch->tail, RD_ID_ZERO) != 0;
}

static void channel_read(void *arg)
{
	struct rd_channel *ch = arg;
	struct rd_redis *link = rd_doorbell_link(ch->channels->doorbell);
	int err;

	ch->asked = (uint32_t)rd_channel_page(ch, PAGE_BYTES);
	if (ch->asked > PAGE_ENTRIES)
		ch->asked = PAGE_ENTRIES;
	if (ch->suspicious || is_floating(ch))
		err = send_look(ch, link);
	else
		err = send_page(ch, link);
	ch->reading = err == RD_OK;
	/* Where the link took nothing, the doorbell asks again later. */
	if (!ch->reading)
		rd_bell_answered(ch->channels->doorbell, &ch->bell, false,
				 true);
}

const struct rd_bell_ops rd_channel_bell_ops = {.read = channel_read};
