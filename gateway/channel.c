/* SPDX-License-Identifier: MIT */
/*
 * channel.c -- follow one channel's stream; see channel.h.
 *
 * The doorbell says when to read.  A read takes a page, about PAGE_BYTES at
 * the size that entries had lately, so that neither one large message nor a
 * thousand small ones make a reply that stalls the loop.
 *
 * A reply may come after the last follower has gone: the channel is freed only
 * then, out of sight of everybody else.
 *
 * Not here: older entries (subscription.c reads them), encoding (frame.c).
 */
#include "gateway/channel.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>

#define PAGE_BYTES     131072
#define PAGE_MAX       1000 /* entries */
#define ENTRY_START    1024 /* bytes of an entry, before any was seen */
#define ENTRY_OVERHEAD 32   /* id and lengths */

struct rd_channels {
	struct rd_doorbell *doorbell; /* borrowed */
	const char *prefix;           /* borrowed */
	const struct rd_channel_ops *ops;
	void *arg;
	struct rd_map map;
	uint64_t entries;
};

static void channel_read(void *arg);
static const struct rd_bell_ops bell_ops = {.read = channel_read};

struct rd_channels *rd_channels_new(struct rd_doorbell *doorbell,
				    const char *prefix,
				    const struct rd_channel_ops *ops, void *arg)
{
	struct rd_channels *channels = rd_new(struct rd_channels);

	channels->doorbell = doorbell;
	channels->prefix = prefix;
	channels->ops = ops;
	channels->arg = arg;
	rd_map_init(&channels->map);
	return channels;
}

void rd_channels_free(struct rd_channels **channels)
{
	if (*channels == NULL)
		return;
	assert((*channels)->map.count == 0);
	rd_map_fini(&(*channels)->map);
	free(*channels);
	*channels = NULL;
}

size_t rd_channels_count(const struct rd_channels *channels)
{
	return channels->map.count;
}

uint64_t rd_channels_entries(const struct rd_channels *channels)
{
	return channels->entries;
}

struct rd_channel *rd_channel_find(struct rd_channels *channels,
				   struct rd_slice name)
{
	struct rd_map_node *n = rd_map_get(&channels->map, name);

	return n == NULL ? NULL : rd_map_item(n, struct rd_channel, node);
}

struct rd_channel *rd_channel_get(struct rd_channels *channels,
				  struct rd_slice name)
{
	struct rd_channel *ch = rd_channel_find(channels, name);
	struct rd_slice own;

	if (ch == NULL) {
		ch = rd_new(struct rd_channel);
		ch->channels = channels;
		ch->entry_bytes = ENTRY_START;
		rd_list_init(&ch->live);
		rd_list_init(&ch->ahead);
		rd_key_channel(&ch->key, channels->prefix, name);
		own = rd_buf_slice(&ch->key);
		own.data += own.len - name.len;
		own.len = name.len;
		rd_map_put(&channels->map, &ch->node, own);
	}
	ch->users++;
	return ch;
}

static void channel_free(struct rd_channel *ch)
{
	rd_buf_fini(&ch->key);
	free(ch);
}

void rd_channel_put(struct rd_channel **ch_p)
{
	struct rd_channel *ch = *ch_p;

	*ch_p = NULL;
	if (--ch->users > 0)
		return;
	rd_map_remove(&ch->channels->map, &ch->node);
	if (ch->started)
		rd_bell_remove(ch->channels->doorbell, &ch->bell);
	if (!ch->reading)
		channel_free(ch);
}

struct rd_slice rd_channel_name(const struct rd_channel *ch)
{
	return ch->node.key;
}

struct rd_slice rd_channel_key(const struct rd_channel *ch)
{
	return rd_buf_slice(&ch->key);
}

void rd_channel_start(struct rd_channel *ch, struct rd_id tail)
{
	if (ch->started)
		return;
	ch->started = true;
	ch->tail = tail;
	rd_bell_add(ch->channels->doorbell, &ch->bell, rd_channel_key(ch),
		    &bell_ops, ch, &ch->tail);
}

void rd_channel_restart(struct rd_channel *ch)
{
	if (!ch->started)
		return;
	ch->stale = ch->reading;
	ch->tail = RD_ID_ZERO;
	rd_bell_ring(ch->channels->doorbell, &ch->bell);
	ch->channels->ops->moved(ch->channels->arg, ch);
}

struct rd_channel *rd_channel_next(struct rd_channels *channels,
				   struct rd_channel *ch)
{
	struct rd_map_node *n =
	    rd_map_next(&channels->map, ch == NULL ? NULL : &ch->node);

	return n == NULL ? NULL : rd_map_item(n, struct rd_channel, node);
}

size_t rd_channel_page(const struct rd_channel *ch, size_t bytes)
{
	size_t n = bytes / ch->entry_bytes;

	return n < 1 ? 1 : n > PAGE_MAX ? PAGE_MAX : n;
}

size_t rd_entry_bytes(const struct rd_entry *entry)
{
	size_t bytes = ENTRY_OVERHEAD;

	for (size_t i = 0; entry->fields != NULL && i < entry->fields->count;
	     i++)
		bytes += entry->fields->items[i].str.len;
	return bytes;
}

void rd_channel_learn(struct rd_channel *ch, struct rd_entries entries)
{
	size_t bytes = 0, n = 0;
	struct rd_entry entry;

	while (rd_entries_next(&entries, &entry)) {
		bytes += rd_entry_bytes(&entry);
		n++;
	}
	if (n == 0)
		return;
	/* Up at once, down slowly: the large ones do the harm. */
	if (bytes / n > ch->entry_bytes)
		ch->entry_bytes = bytes / n;
	else
		ch->entry_bytes = (ch->entry_bytes * 3 + bytes / n) / 4;
}

static void channel_take(struct rd_channel *ch, struct rd_entries entries)
{
	struct rd_channels *channels = ch->channels;
	struct rd_entries walk = entries;
	struct rd_entry entry = {.id = ch->tail};

	while (rd_entries_next(&walk, &entry))
		channels->entries++;
	rd_channel_learn(ch, entries);
	channels->ops->entries(channels->arg, ch, entries);
	ch->tail = entry.id;
	channels->ops->moved(channels->arg, ch);
}

static void channel_reply(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_channel *ch = arg;
	struct rd_entries entries = rd_entries_one(err == RD_OK ? reply : NULL);
	size_t count = rd_entries_count(&entries);

	ch->reading = false;
	if (ch->users == 0) { /* the last follower has gone meanwhile */
		channel_free(ch);
		return;
	}
	if (err == RD_EREDIS)
		rd_log(RD_LOG_WARN, "channel.read", "channel=%.*s why=%s",
		       RD_SLICE_ARG(rd_channel_name(ch)), reply->str.data);
	if (count > 0 && !ch->stale)
		channel_take(ch, entries);
	rd_bell_answered(ch->channels->doorbell, &ch->bell, count > 0,
			 count >= ch->asked || ch->stale);
	ch->stale = false;
}

static void channel_read(void *arg)
{
	struct rd_channel *ch = arg;
	struct rd_redis *link = rd_doorbell_link(ch->channels->doorbell);

	ch->asked = rd_channel_page(ch, PAGE_BYTES);
	ch->reading = rd_stream_read(link, rd_channel_key(ch), ch->tail,
				     ch->asked, channel_reply, ch) == RD_OK;
	/* Where the link took nothing, the doorbell asks again later. */
	if (!ch->reading)
		rd_bell_answered(ch->channels->doorbell, &ch->bell, false,
				 true);
}
