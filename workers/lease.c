/* SPDX-License-Identifier: MIT */
/*
 * lease.c -- which slots of the team are ours; see lease.h.
 *
 * All is decided by one script in Redis.  We ask it when something may have
 * changed: the team, our own life, what others gave back; and, should all of
 * that have failed to reach us, once in a lease.  The answer is the whole truth
 * at its moment; where it differs from what we believed, the owner is told.
 *
 * One request is under way at a time.  What the owner has released stays on our
 * books until an answer no longer has it, so where an answer is lost the same
 * is asked again.  It is named with its token: a request that reaches Redis
 * late cannot give back what was taken after it.
 *
 * Renewal is not here: the heartbeat (peers.c) renews all slots at once.
 */
#include "workers/lease.h"
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define SOON_MS  10   /* at most, until we ask after a change of the team */
#define AGAIN_MS 1000 /* after an error */

/* What a slot is to us: which list of the leases it is on. */
enum holding {
	NONE,     /* on no list */
	HELD,     /* ours, in the order in which they were gained */
	REVOKED,  /* ours, until the owner releases it */
	RELEASED, /* still ours in Redis, perhaps: to be given back */
	HOLDINGS
};

struct slot {
	struct rd_list link; /* on the list of its holding */
	enum holding holding;
	uint64_t token; /* of our lease; 0: NONE */
	uint64_t heard; /* its token in the answer at hand; 0: not ours */
};

struct rd_leases {
	struct rd_self *self;            /* borrowed */
	const struct rd_leases_ops *ops; /* borrowed */
	void *arg;
	struct rd_buf key;             /* of the hash */
	struct slot *slots;            /* owned; count of them */
	unsigned count;                /* slots of the team */
	struct rd_list list[HOLDINGS]; /* slots; that of NONE stays empty */
	size_t sizes[HOLDINGS];        /* of each list */
	size_t quota;                  /* as answered last; 0: not yet */
	bool leaving;                  /* we want none */
	bool asking;                   /* an answer is awaited */
	bool again;                    /* one more request must follow it */
	struct rd_task ask;            /* at the end of the turn */
	struct rd_timer look;          /* asks later */
	uint64_t look_ms;              /* when it fires, while it is pending */
	struct rd_bell bell;           /* on the hash */
	struct rd_doorbell *doorbell;  /* borrowed; NULL: no bell hung up */
	bool reading;                  /* its read is under way */
};

static unsigned number_of(const struct rd_leases *l, const struct slot *s)
{
	return (unsigned)(s - l->slots);
}

static bool is_ours(const struct slot *s)
{
	return s->holding == HELD || s->holding == REVOKED;
}

static void slot_enter(struct rd_leases *l, struct slot *s,
		       enum holding holding)
{
	if (s->holding != NONE)
		l->sizes[s->holding]--;
	rd_list_remove(&s->link);
	s->holding = holding;
	if (holding == NONE) {
		s->token = 0;
		return;
	}
	l->sizes[holding]++;
	rd_list_push(&l->list[holding], &s->link);
}

/* Asks within ms, or earlier where that was to be. */
static void look_within(struct rd_leases *l, uint64_t ms)
{
	uint64_t at = rd_clock_ms() + ms;

	if (rd_timer_pending(&l->look) && l->look_ms <= at)
		return;
	l->look_ms = at;
	rd_timer_start(&l->look, ms);
}

/* --- what is ours now ---------------------------------------------------- */

/* Notes what the answer says of each slot. */
static void hear(struct rd_leases *l, const struct rd_reply *reply)
{
	for (unsigned i = 0; i < l->count; i++)
		l->slots[i].heard = 0;
	for (size_t i = 2; i + 1 < reply->count; i += 2) {
		int64_t slot = rd_reply_int(&reply->items[i], -1);
		int64_t token = rd_reply_int(&reply->items[i + 1], 0);

		if (slot >= 0 && slot < (int64_t)l->count && token > 0)
			l->slots[slot].heard = (uint64_t)token;
	}
}

/* Those whose lease has ended, by others or as we asked. */
static size_t drop_ended(struct rd_leases *l)
{
	size_t lost = 0;

	for (unsigned i = 0; i < l->count; i++) {
		struct slot *s = &l->slots[i];
		bool ours = is_ours(s);

		if (s->holding == NONE || s->heard == s->token)
			continue;
		slot_enter(l, s, NONE);
		if (!ours)
			continue;
		lost++;
		l->ops->lost(l->arg, i);
	}
	return lost;
}

/*
 * Those that come first are served first, and given up last.  Were that always
 * the same slots, then the others would have no turn in a team that changes
 * faster than it takes over; so we begin anywhere.
 */
static size_t add_gained(struct rd_leases *l)
{
	unsigned first = (unsigned)(rd_self_random() % l->count);
	size_t gained = 0;

	for (unsigned i = 0; i < l->count; i++) {
		struct slot *s = &l->slots[(first + i) % l->count];

		if (s->holding != NONE || s->heard == 0)
			continue;
		s->token = s->heard;
		slot_enter(l, s, HELD);
		gained++;
		l->ops->gained(l->arg, number_of(l, s));
	}
	return gained;
}

/* What was gained last goes first. */
static size_t revoke_surplus(struct rd_leases *l)
{
	size_t quota = l->leaving ? 0 : l->quota, revoked = 0;

	while (l->sizes[HELD] > quota) {
		struct slot *s =
		    rd_list_item(l->list[HELD].prev, struct slot, link);

		slot_enter(l, s, REVOKED);
		revoked++;
		l->ops->revoked(l->arg, number_of(l, s));
	}
	return revoked;
}

static void learn(struct rd_leases *l, const struct rd_reply *reply)
{
	int64_t quota = rd_reply_int(rd_reply_at(reply, 0), 0);
	int64_t wait = rd_reply_int(rd_reply_at(reply, 1), 0);
	size_t lost, gained, revoked;

	if (wait <= 0)
		wait = l->self->cfg->lease_ms;
	look_within(l, (uint64_t)wait);
	if (quota < 1)
		return; /* no answer of our script */
	l->quota = (size_t)quota;
	hear(l, reply);
	lost = drop_ended(l);
	gained = add_gained(l);
	revoked = revoke_surplus(l);
	if (lost + gained + revoked > 0)
		rd_log(RD_LOG_INFO, "lease.share",
		       "ours=%zu quota=%zu gained=%zu revoked=%zu lost=%zu",
		       rd_leases_count(l), l->quota, gained, revoked, lost);
}

/* --- requests ------------------------------------------------------------ */

static void asked(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_leases *l = arg;

	l->asking = false;
	if (err == RD_OK)
		learn(l, reply);
	else
		look_within(l, AGAIN_MS);
	if (err == RD_EREDIS)
		rd_log(RD_LOG_ERROR, "lease.share", "error=%.*s",
		       RD_SLICE_ARG(reply->str));
	if (l->again)
		rd_task_defer(&l->ask, l->self->loop);
}

/* "slot token slot token ...": what is to be given back. */
static void add_released(const struct rd_leases *l, struct rd_buf *out)
{
	struct rd_list *link;

	rd_list_each (link, &l->list[RELEASED]) {
		struct slot *s = rd_list_item(link, struct slot, link);

		rd_buf_addu(out, number_of(l, s));
		rd_buf_addc(out, ' ');
		rd_buf_addu(out, s->token);
		rd_buf_addc(out, ' ');
	}
}

static int send_request(struct rd_leases *l)
{
	struct rd_slice keys[2] = {rd_buf_slice(&l->key),
				   rd_buf_slice(&l->self->team_key)};
	char slots[16], lease[24], dice[16];
	struct rd_buf released = RD_BUF_INIT;
	struct rd_slice args[6];
	int err;

	snprintf(slots, sizeof(slots), "%u", l->count);
	snprintf(lease, sizeof(lease), "%lld",
		 (long long)l->self->cfg->lease_ms);
	snprintf(dice, sizeof(dice), "%u",
		 (unsigned)(rd_self_random() & 0x7fffffff));
	add_released(l, &released);
	args[0] = rd_slice_str(l->self->name);
	args[1] = rd_slice_str(slots);
	args[2] = rd_slice_str(lease);
	args[3] = rd_slice_str(l->leaving ? "0" : "1");
	args[4] = rd_slice_str(dice);
	args[5] = rd_buf_slice(&released);
	err = rd_script_call(l->self->redis, RD_SCRIPT_SHARE, keys, 2, args, 6,
			     asked, l);
	rd_buf_fini(&released);
	return err;
}

/* Asks now, or once more when the answer is there. */
static void ask(void *arg)
{
	struct rd_leases *l = arg;

	if (l->leaving)
		revoke_surplus(l);
	l->again = l->asking;
	if (l->asking || !l->self->open)
		return; /* rd_leases_up() comes */
	/* What the owner has just released goes with this one. */
	rd_task_cancel(&l->ask);
	rd_timer_stop(&l->look);
	if (send_request(l) == RD_OK)
		l->asking = true;
	else
		look_within(l, AGAIN_MS);
}

/* --- the bell ------------------------------------------------------------ */

/* Is there something to take, or do we have more or less than our share? */
static bool concerns_us(const struct rd_leases *l, const struct rd_reply *reply)
{
	int64_t quota = rd_reply_int(rd_reply_at(reply, 0), 0);
	int64_t unowned = rd_reply_int(rd_reply_at(reply, 1), 0);

	if (l->quota == 0 || l->leaving)
		return false;
	return quota != (int64_t)l->quota ||
	       (unowned > 0 && rd_leases_count(l) < l->quota);
}

static void bell_read_done(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_leases *l = arg;

	l->reading = false;
	if (err == RD_OK && concerns_us(l, reply))
		rd_leases_look(l);
	if (l->doorbell != NULL)
		rd_bell_answered(l->doorbell, &l->bell, false, false);
}

static void bell_read(void *arg)
{
	struct rd_leases *l = arg;

	if (!l->reading &&
	    rd_redis_call(rd_doorbell_link(l->doorbell), bell_read_done, l,
			  "HMGET %b =quota =free", rd_buf_data(&l->key),
			  l->key.len) == RD_OK)
		l->reading = true;
	else
		rd_bell_answered(l->doorbell, &l->bell, false, true);
}

void rd_leases_bell(struct rd_leases *l, struct rd_doorbell *doorbell)
{
	static const struct rd_bell_ops ops = {bell_read};

	if (l->doorbell != NULL)
		rd_bell_remove(l->doorbell, &l->bell);
	l->doorbell = doorbell;
	if (doorbell != NULL)
		rd_bell_add(doorbell, &l->bell, rd_buf_slice(&l->key), &ops, l,
			    NULL);
}

/* --- the owner's side ---------------------------------------------------- */

struct rd_leases *rd_leases_new(struct rd_self *self, unsigned slots,
				const struct rd_leases_ops *ops, void *arg)
{
	struct rd_leases *l = rd_new(struct rd_leases);

	assert(slots > 0);
	l->self = self;
	l->ops = ops;
	l->arg = arg;
	rd_key_named(&l->key, self->cfg->prefix, "slots", self->team);
	l->slots = rd_new_array(struct slot, slots);
	l->count = slots;
	for (unsigned i = 0; i < slots; i++)
		rd_list_init(&l->slots[i].link);
	for (size_t i = 0; i < HOLDINGS; i++)
		rd_list_init(&l->list[i]);
	rd_task_init(&l->ask, ask, l);
	rd_timer_init(&l->look, self->loop, ask, l);
	return l;
}

void rd_leases_free(struct rd_leases **leases)
{
	struct rd_leases *l = *leases;

	if (l == NULL)
		return;
	rd_leases_bell(l, NULL);
	rd_task_cancel(&l->ask);
	rd_timer_stop(&l->look);
	rd_buf_fini(&l->key);
	free(l->slots);
	free(l);
	*leases = NULL;
}

void rd_leases_up(struct rd_leases *l)
{
	rd_task_defer(&l->ask, l->self->loop);
}

void rd_leases_look(struct rd_leases *l)
{
	/* All of the team hear of it in the same moment. */
	look_within(l, 1 + rd_self_random() % SOON_MS);
}

void rd_leases_release(struct rd_leases *l, unsigned slot)
{
	assert(slot < l->count);
	if (!is_ours(&l->slots[slot]))
		return;
	slot_enter(l, &l->slots[slot], RELEASED);
	rd_task_defer(&l->ask, l->self->loop);
}

void rd_leases_leave(struct rd_leases *l)
{
	l->leaving = true;
	rd_task_defer(&l->ask, l->self->loop);
}

uint64_t rd_leases_token(const struct rd_leases *l, unsigned slot)
{
	assert(slot < l->count);
	return is_ours(&l->slots[slot]) ? l->slots[slot].token : 0;
}

size_t rd_leases_count(const struct rd_leases *l)
{
	return l->sizes[HELD] + l->sizes[REVOKED];
}

size_t rd_leases_quota(const struct rd_leases *l)
{
	return l->quota;
}
