/* SPDX-License-Identifier: MIT */
/*
 * lanes.c -- which divided channels are ours; see lanes.h.
 *
 * Every channel that matches has a place, also those of other workers' slots,
 * so that a slot can be taken over without asking what is in it.  A place of a
 * slot of ours has a lane.  Where a slot is lost and comes back before its old
 * lane has ended, the new one waits for that.
 */
#include "workers/lanes.h"
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/slot.h"
#include "workers/lease.h"
#include "workers/paused.h"
#include "workers/peers.h"

#include <stdlib.h>

#define GATHER_MS    30  /* while slots to be given back are gathered */
#define SURE_LOOK_MS 100 /* between looks whether our lease is good again */
#define HUNGER_MS    20  /* between looks whether there is room */
#define AT_ONCE      8   /* lanes that are given room in one turn */
#define WATCH_MS     500 /* between looks at lanes that close */

/* One channel that matches. */
struct place {
	struct rd_map_node node; /* by name */
	struct rd_list link;     /* on the list of its slot */
	struct rd_lane *lane;    /* owned; NULL: not ours */
	unsigned slot;
	bool gone; /* it is freed with its lane */
	char name[];
};

struct slot {
	struct rd_list places;
	size_t lanes; /* of its places, the closing ones included */
	bool ours;
	bool revoked; /* given back when it has no lane any more */
};

struct rd_lanes {
	struct rd_self *self;      /* borrowed */
	struct rd_lanes_view view; /* set before anything else */
	struct rd_map places;
	struct slot *slots; /* owned; slot_count */
	unsigned slot_count;
	size_t count;           /* lanes */
	struct rd_list hungry;  /* lanes that wait for room */
	struct rd_timer hunger; /* runs while somebody is hungry */
	struct rd_timer gather; /* runs while revoked slots are gathered */
	struct rd_timer unsure; /* runs while our lease is not good */
	struct rd_list leaving; /* lanes that close, longest first */
	struct rd_timer watch;  /* runs while there are some */
};

static struct place *place_of(struct rd_lanes *ls, const struct rd_lane *lane)
{
	struct rd_map_node *node = rd_map_get(&ls->places, lane->source.name);

	return rd_map_item(node, struct place, node);
}

static void give_back(struct rd_lanes *ls, unsigned i)
{
	if (!ls->slots[i].revoked || ls->slots[i].lanes > 0 ||
	    rd_timer_pending(&ls->gather))
		return;
	ls->slots[i].ours = ls->slots[i].revoked = false;
	rd_leases_release(ls->view.leases, i);
}

static void place_free(struct rd_lanes *ls, struct place *p)
{
	rd_map_remove(&ls->places, &p->node);
	rd_list_remove(&p->link);
	free(p);
}

/* --- what a lane asks ----------------------------------------------------- */

static void lane_hungry(void *arg, struct rd_lane *lane)
{
	struct rd_lanes *ls = arg;

	if (rd_list_empty(&lane->hungry))
		rd_list_push(&ls->hungry, &lane->hungry);
	if (!rd_timer_pending(&ls->hunger))
		rd_timer_start(&ls->hunger, HUNGER_MS);
}

static void close_lane(struct rd_lanes *ls, struct rd_lane *lane)
{
	if (lane->closing)
		return;
	rd_lane_close(lane);
	rd_list_push(&ls->leaving, &lane->leaving);
	if (!rd_timer_pending(&ls->watch))
		rd_timer_start(&ls->watch, WATCH_MS);
}

static void lane_fenced(void *arg, struct rd_lane *lane)
{
	struct rd_lanes *ls = arg;

	rd_log(RD_LOG_WARN, "lane.fenced", "channel=%.*s",
	       RD_SLICE_ARG(lane->source.name));
	ls->self->counters.fenced++;
	close_lane(ls, lane);
	rd_leases_look(ls->view.leases);
}

static void open_lane(struct rd_lanes *ls, struct place *p);

static void lane_closed(void *arg, struct rd_lane *lane)
{
	struct rd_lanes *ls = arg;
	struct place *p = place_of(ls, lane);
	unsigned slot = p->slot;
	bool hung = lane->source.hung; /* then its name stays, too */

	rd_lane_free(&p->lane);
	ls->slots[slot].lanes--;
	ls->count--;
	if (!p->gone)
		open_lane(ls, p);
	else if (!hung)
		place_free(ls, p);
	give_back(ls, slot);
	rd_self_wake(ls->self);
}

static bool is_sure(struct rd_lanes *ls)
{
	if (rd_clock_ms() < rd_peers_sure_until_ms(ls->view.peers))
		return true;
	if (!rd_timer_pending(&ls->unsure))
		rd_timer_start(&ls->unsure, SURE_LOOK_MS);
	return false;
}

static bool lane_may_read(void *arg, const struct rd_lane *lane)
{
	struct rd_lanes *ls = arg;

	return is_sure(ls) && !rd_paused_is(ls->view.paused, lane->source.name);
}

static const struct rd_lane_ops lane_ops = {
    .hungry = lane_hungry,
    .fenced = lane_fenced,
    .closed = lane_closed,
    .may_read = lane_may_read,
};

static void open_lane(struct rd_lanes *ls, struct place *p)
{
	struct slot *slot = &ls->slots[p->slot];
	uint64_t token = rd_leases_token(ls->view.leases, p->slot);

	if (p->lane != NULL || p->gone || !slot->ours || slot->revoked ||
	    token == 0)
		return;
	p->lane = rd_lane_open(ls->self, p->node.key, token, ls->view.doorbell,
			       &lane_ops, ls);
	slot->lanes++;
	ls->count++;
}

/* --- channels and slots --------------------------------------------------- */

void rd_lanes_found(struct rd_lanes *ls, struct rd_slice name)
{
	struct rd_map_node *node = rd_map_get(&ls->places, name);
	struct place *p;

	if (node != NULL) {
		p = rd_map_item(node, struct place, node);
		p->gone = false;
		return;
	}
	p = rd_zalloc(sizeof(*p) + name.len + 1);
	memcpy(p->name, name.data, name.len);
	p->slot = rd_slot_of(name, ls->slot_count);
	rd_list_init(&p->link);
	rd_list_push(&ls->slots[p->slot].places, &p->link);
	rd_map_put(&ls->places, &p->node, (struct rd_slice){p->name, name.len});
	open_lane(ls, p);
}

void rd_lanes_gone(struct rd_lanes *ls, struct rd_slice name)
{
	struct rd_map_node *node = rd_map_get(&ls->places, name);
	struct place *p;

	if (node == NULL)
		return;
	p = rd_map_item(node, struct place, node);
	p->gone = true;
	if (p->lane != NULL)
		close_lane(ls, p->lane);
	else
		place_free(ls, p);
}

static void close_slot(struct rd_lanes *ls, unsigned i)
{
	struct rd_list *pos;

	rd_list_each (pos, &ls->slots[i].places) {
		struct place *p = rd_list_item(pos, struct place, link);

		if (p->lane != NULL)
			close_lane(ls, p->lane);
	}
}

void rd_lanes_gained(struct rd_lanes *ls, unsigned i)
{
	struct rd_list *pos;

	ls->slots[i].ours = true;
	ls->slots[i].revoked = false;
	rd_list_each (pos, &ls->slots[i].places)
		open_lane(ls, rd_list_item(pos, struct place, link));
}

/*
 * Slots without channels could be given back at once, and whoever has just
 * come would get nothing but those.  So for a moment they wait for the others.
 */
void rd_lanes_revoked(struct rd_lanes *ls, unsigned i)
{
	ls->slots[i].revoked = true;
	close_slot(ls, i);
	if (!rd_timer_pending(&ls->gather))
		rd_timer_start(&ls->gather, GATHER_MS);
}

static void gathered(void *arg)
{
	struct rd_lanes *ls = arg;

	for (unsigned i = 0; i < ls->slot_count; i++)
		give_back(ls, i);
}

void rd_lanes_lost(struct rd_lanes *ls, unsigned i)
{
	ls->slots[i].ours = ls->slots[i].revoked = false;
	close_slot(ls, i);
}

/*
 * A lane that closes waits for the handler (which has a time limit of its
 * own), for its commit, and for replies.  What takes longer than a drain may
 * is left to the next owner: his fence makes void what we still do.
 */
static void watch(void *arg)
{
	struct rd_lanes *ls = arg;
	uint64_t most = (uint64_t)ls->self->cfg->drain_timeout_ms;
	struct rd_list *pos;

	rd_list_each (pos, &ls->leaving) {
		struct rd_lane *lane =
		    rd_list_item(pos, struct rd_lane, leaving);

		if (rd_clock_ms() - lane->closing_ms <= most)
			break;
		if (lane->out > 0)
			continue;
		ls->self->counters.stuck += !lane->given_up;
		if (!lane->given_up)
			rd_log(RD_LOG_ERROR, "lane.stuck",
			       "channel=%.*s in_hand=%zu",
			       RD_SLICE_ARG(lane->source.name),
			       lane->source.hand.count);
		rd_lane_give_up(lane);
	}
	if (!rd_list_empty(&ls->leaving))
		rd_timer_start(&ls->watch, WATCH_MS);
}

/* --- going on ------------------------------------------------------------- */

/* Lets up to n of those that wait read, perhaps only such as have nothing in
 * hand; true: there are more of them. */
static bool feed(struct rd_lanes *ls, size_t n, bool empty_only)
{
	struct rd_list *pos, *tmp;

	rd_list_each_safe (pos, tmp, &ls->hungry) {
		struct rd_lane *lane =
		    rd_list_item(pos, struct rd_lane, hungry);

		if (empty_only && lane->source.hand.count > 0)
			continue;
		if (n-- == 0)
			return true;
		rd_list_remove(pos);
		rd_lane_read(lane);
	}
	return false;
}

void rd_lanes_more(struct rd_lanes *ls)
{
	size_t batch = (size_t)ls->self->cfg->batch;
	bool more = false;

	if (rd_self_room_divided(ls->self, batch, true) > 0)
		more = feed(ls, AT_ONCE, false);
	else if (rd_self_room_divided(ls->self, batch, false) > 0)
		more = feed(ls, AT_ONCE, true);
	/* Some of them may have no use for the room any more. */
	if (more)
		rd_self_wake(ls->self);
}

/* Those who have the room may have stopped to move. */
static void starved(void *arg)
{
	struct rd_lanes *ls = arg;

	rd_lanes_more(ls);
	if (!rd_list_empty(&ls->hungry))
		rd_timer_start(&ls->hunger, HUNGER_MS);
}

static void each_lane(struct rd_lanes *ls, void (*fn)(struct rd_lane *lane))
{
	struct rd_map_node *node;

	rd_map_each (node, &ls->places) {
		struct place *p = rd_map_item(node, struct place, node);

		if (p->lane != NULL)
			fn(p->lane);
	}
}

void rd_lanes_look(struct rd_lanes *ls)
{
	each_lane(ls, rd_lane_read);
}

static void lane_down(struct rd_lane *lane)
{
	if (!lane->closing)
		rd_lane_reset(lane);
}

void rd_lanes_down(struct rd_lanes *ls)
{
	each_lane(ls, lane_down);
}

void rd_lanes_up(struct rd_lanes *ls)
{
	each_lane(ls, rd_lane_up);
}

static void unsure(void *arg)
{
	struct rd_lanes *ls = arg;

	if (is_sure(ls))
		rd_lanes_look(ls);
}

void rd_lanes_behind(struct rd_lanes *ls,
		     void (*fn)(void *arg, const struct rd_lane *lane),
		     void *arg)
{
	struct rd_map_node *node;

	rd_map_each (node, &ls->places) {
		const struct rd_lane *lane =
		    rd_map_item(node, struct place, node)->lane;

		if (lane != NULL && rd_lane_is_behind(lane))
			fn(arg, lane);
	}
}

void rd_lanes_stats(const struct rd_lanes *ls, struct rd_lanes_stats *out)
{
	struct rd_map_node *node;

	*out = (struct rd_lanes_stats){.lanes = ls->count};
	rd_map_each (node, &ls->places) {
		const struct place *p = rd_map_item(node, struct place, node);

		out->waiting += p->lane != NULL && p->lane->waiting;
	}
}

struct rd_lanes *rd_lanes_new(struct rd_self *self, unsigned slots)
{
	struct rd_lanes *ls = rd_new(struct rd_lanes);

	ls->self = self;
	ls->slot_count = slots;
	ls->slots = rd_new_array(struct slot, slots);
	for (unsigned i = 0; i < slots; i++)
		rd_list_init(&ls->slots[i].places);
	rd_map_init(&ls->places);
	rd_list_init(&ls->hungry);
	rd_timer_init(&ls->hunger, self->loop, starved, ls);
	rd_timer_init(&ls->gather, self->loop, gathered, ls);
	rd_timer_init(&ls->unsure, self->loop, unsure, ls);
	rd_list_init(&ls->leaving);
	rd_timer_init(&ls->watch, self->loop, watch, ls);
	return ls;
}

void rd_lanes_view(struct rd_lanes *ls, const struct rd_lanes_view *view)
{
	ls->view = *view;
}

void rd_lanes_free(struct rd_lanes **lanes)
{
	struct rd_lanes *ls = *lanes;
	struct rd_map_node *node;

	*lanes = NULL;
	if (ls == NULL)
		return;
	rd_timer_stop(&ls->hunger);
	rd_timer_stop(&ls->gather);
	rd_timer_stop(&ls->unsure);
	rd_timer_stop(&ls->watch);
	while ((node = rd_map_next(&ls->places, NULL)) != NULL) {
		struct place *p = rd_map_item(node, struct place, node);

		rd_lane_free(&p->lane);
		place_free(ls, p);
	}
	rd_map_fini(&ls->places);
	free(ls->slots);
	free(ls);
}
