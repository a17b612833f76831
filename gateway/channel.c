/* SPDX-License-Identifier: MIT */
/*
 * channel.c -- the channels that a gateway follows; see channel.h.
 *
 * Not here: reading them (channel_read.c).
 */
#include "gateway/channel_impl.h"
#include "src/keys.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>

#define PAGE_MAX       1000 /* entries */
#define ENTRY_START    1024 /* bytes of an entry, before any was seen */
#define ENTRY_OVERHEAD 32   /* id and lengths */

struct rd_channels *rd_channels_new(struct rd_doorbell *doorbell,
				    const char *prefix, size_t ring_limit,
				    const struct rd_channel_ops *ops, void *arg)
{
	struct rd_channels *channels = rd_new(struct rd_channels);

	channels->doorbell = doorbell;
	channels->prefix = prefix;
	channels->ops = ops;
	channels->arg = arg;
	channels->rings = rd_rings_new(ring_limit);
	rd_map_init(&channels->map);
	rd_trails_init(&channels->trails);
	return channels;
}

void rd_channels_free(struct rd_channels **channels)
{
	if (*channels == NULL)
		return;
	assert((*channels)->map.count == 0);
	rd_map_fini(&(*channels)->map);
	rd_rings_free(&(*channels)->rings);
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

struct rd_rings *rd_channels_rings(const struct rd_channels *channels)
{
	return channels->rings;
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
		ch->count = RD_COUNT_UNKNOWN;
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

void rd_channel_free(struct rd_channel *ch)
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
	rd_ring_free(&ch->ring);
	rd_trail_free(&ch->trail);
	if (ch->started)
		rd_bell_remove(ch->channels->doorbell, &ch->bell);
	if (!ch->reading)
		rd_channel_free(ch);
}

struct rd_slice rd_channel_name(const struct rd_channel *ch)
{
	return ch->node.key;
}

struct rd_slice rd_channel_key(const struct rd_channel *ch)
{
	return rd_buf_slice(&ch->key);
}

void rd_channel_start(struct rd_channel *ch, const struct rd_stream_info *info)
{
	bool at_end = !ch->started || rd_id_cmp(ch->tail, info->last) == 0;

	if (at_end && info->counts)
		ch->count = info->added;
	if (ch->started)
		return;
	ch->started = true;
	ch->tail = info->last;
	ch->anchored = info->newest;
	rd_bell_add(ch->channels->doorbell, &ch->bell, rd_channel_key(ch),
		    &rd_channel_bell_ops, ch, &ch->tail);
}

void rd_channel_ring(struct rd_channel *ch)
{
	if (ch->started)
		rd_bell_ring(ch->channels->doorbell, &ch->bell);
}

void rd_channel_forget(struct rd_channel *ch, bool same)
{
	ch->life++;
	if (!same)
		ch->origin = ch->life;
	ch->tail = RD_ID_ZERO;
	ch->count = RD_COUNT_UNKNOWN;
	ch->anchored = false;
	ch->suspicious = false;
	rd_ring_free(&ch->ring);
	rd_trail_free(&ch->trail);
}

void rd_channel_restart(struct rd_channel *ch)
{
	rd_channel_forget(ch, false);
	if (!ch->started)
		return;
	ch->suspicious = true; /* how many are gone already? */
	ch->stale = ch->reading;
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

enum rd_ring_found rd_channel_recall(struct rd_channel *ch, struct rd_id id,
				     struct rd_ring_at *at_out)
{
	return rd_ring_find(ch->channels->rings, ch->ring, id, at_out);
}

struct rd_trail *rd_channel_trail(struct rd_channel *ch)
{
	return rd_trail_get(&ch->channels->trails, &ch->trail);
}

size_t rd_channel_page(const struct rd_channel *ch, size_t bytes)
{
	size_t n = bytes / ch->entry_bytes;

	return n < 1 ? 1 : n > PAGE_MAX ? PAGE_MAX : n;
}

static size_t entry_bytes(const struct rd_entry *entry)
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
		bytes += entry_bytes(&entry);
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
