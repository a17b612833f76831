/* SPDX-License-Identifier: MIT */
/*
 * divided.c -- wires catalog, leases and lanes together; see divided.h.
 */
#include "workers/divided.h"
#include "src/glob.h"
#include "src/mem.h"
#include "workers/catalog.h"
#include "workers/lease.h"

#include <stdlib.h>

struct rd_divided {
	struct rd_self *self; /* borrowed */
	struct rd_lanes *lanes;
	struct rd_leases *leases;
	struct rd_catalog *catalog;
};

bool rd_divided_wanted(const struct rd_config *cfg)
{
	for (int i = 0; i < cfg->consume.count; i++)
		if (cfg->ordered ||
		    rd_glob_is_pattern(rd_slice_str(cfg->consume.items[i])))
			return true;
	return false;
}

bool rd_divided_shares(const struct rd_config *cfg, struct rd_slice channel)
{
	for (int i = 0; i < cfg->consume.count && !cfg->ordered; i++)
		if (rd_slice_is(channel, cfg->consume.items[i]))
			return true;
	return false;
}

static void found(void *arg, struct rd_slice channel)
{
	struct rd_divided *d = arg;

	if (!rd_divided_shares(d->self->cfg, channel))
		rd_lanes_found(d->lanes, channel);
}

/* One that is named is followed whether it is there or not. */
static bool is_named(const struct rd_config *cfg, struct rd_slice channel)
{
	for (int i = 0; i < cfg->consume.count; i++)
		if (rd_slice_is(channel, cfg->consume.items[i]))
			return true;
	return false;
}

static void gone(void *arg, struct rd_slice channel)
{
	struct rd_divided *d = arg;

	if (!is_named(d->self->cfg, channel))
		rd_lanes_gone(d->lanes, channel);
}

static void gained(void *arg, unsigned slot)
{
	struct rd_divided *d = arg;

	rd_lanes_gained(d->lanes, slot);
}

static void revoked(void *arg, unsigned slot)
{
	struct rd_divided *d = arg;

	rd_lanes_revoked(d->lanes, slot);
}

static void lost(void *arg, unsigned slot)
{
	struct rd_divided *d = arg;

	rd_lanes_lost(d->lanes, slot);
}

/* Named channels that are divided, too (--ordered). */
static void add_named(struct rd_divided *d)
{
	const struct rd_config *cfg = d->self->cfg;

	for (int i = 0; i < cfg->consume.count && cfg->ordered; i++) {
		struct rd_slice name = rd_slice_str(cfg->consume.items[i]);

		if (rd_glob_is_pattern(name))
			continue;
		rd_publisher_note(d->self->publisher, name, 0);
		rd_lanes_found(d->lanes, name);
	}
}

struct rd_divided *rd_divided_new(struct rd_self *self, unsigned slots,
				  const struct rd_peers *peers,
				  const struct rd_paused *paused,
				  struct rd_doorbell *doorbell)
{
	static const struct rd_catalog_ops catalog_ops = {found, gone};
	static const struct rd_leases_ops leases_ops = {gained, revoked, lost};
	struct rd_divided *d = rd_new(struct rd_divided);

	d->self = self;
	d->lanes = rd_lanes_new(self, slots);
	d->leases = rd_leases_new(self, slots, &leases_ops, d);
	d->catalog =
	    rd_catalog_open(self, &self->cfg->consume, &catalog_ops, d);
	rd_lanes_view(d->lanes, &(struct rd_lanes_view){doorbell, d->leases,
							peers, paused});
	add_named(d);
	rd_leases_bell(d->leases, doorbell);
	rd_catalog_bell(d->catalog, doorbell);
	return d;
}

void rd_divided_free(struct rd_divided **d_ptr)
{
	struct rd_divided *d = *d_ptr;

	*d_ptr = NULL;
	if (d == NULL)
		return;
	rd_leases_bell(d->leases, NULL);
	rd_catalog_bell(d->catalog, NULL);
	rd_lanes_free(&d->lanes);
	rd_leases_free(&d->leases);
	rd_catalog_free(&d->catalog);
	free(d);
}

void rd_divided_up(struct rd_divided *d)
{
	rd_lanes_up(d->lanes);
	rd_catalog_up(d->catalog);
	add_named(d);
}

void rd_divided_down(struct rd_divided *d)
{
	rd_lanes_down(d->lanes);
}

void rd_divided_leave(struct rd_divided *d)
{
	rd_leases_leave(d->leases);
}

void rd_divided_joined(struct rd_divided *d)
{
	rd_leases_up(d->leases);
}

void rd_divided_changed(struct rd_divided *d)
{
	rd_leases_look(d->leases);
}

void rd_divided_look(struct rd_divided *d)
{
	rd_lanes_look(d->lanes);
}

void rd_divided_more(struct rd_divided *d)
{
	rd_lanes_more(d->lanes);
}

static void ask(void *arg, const struct rd_lane *lane)
{
	rd_backlog_ask(arg, rd_buf_slice(&lane->source.key), true);
}

void rd_divided_ask(struct rd_divided *d, struct rd_backlog_watch *watch)
{
	rd_lanes_behind(d->lanes, ask, watch);
}

void rd_divided_stats(const struct rd_divided *d, struct rd_divided_stats *out)
{
	struct rd_lanes_stats lanes;

	rd_lanes_stats(d->lanes, &lanes);
	*out = (struct rd_divided_stats){rd_leases_count(d->leases),
					 lanes.lanes, lanes.waiting};
}
