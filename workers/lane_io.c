/* SPDX-License-Identifier: MIT */
/*
 * lane_io.c -- what comes into a lane; see lane.h.
 *
 * Two roads lead in.  claim.lua takes what is pending, in order, and is asked
 * only while nothing of this channel is in our hands.  read.lua takes what is
 * new, when the bell rings, and in turn with the sweep.
 *
 * A read that has come to the end also tells how much is pending.  If that is
 * more than we hold, something has gone astray (a delivery that never reached
 * us, a foreign hand), and is claimed.  Nothing else must move entries to us
 * meanwhile, so due.lua and read.lua wait for each other.  The sweep only looks
 * at the group's numbers, and reads where they are not what we know; so does
 * who has claimed a channel in which nothing waits.
 */
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"
#include "workers/lane_impl.h"

#include <inttypes.h>
#include <stdio.h>

#define AGAIN_MS 1000 /* after an error of Redis */

/* --- what is pending ------------------------------------------------------ */

/* The next read asks for so many, and one more, so that it finds the end. */
static void set_want(struct rd_lane *lane, int64_t behind)
{
	int64_t most = lane->source.self->cfg->batch;

	if (behind >= RD_LANE_WANT)
		lane->want = (size_t)(behind < most ? behind + 1 : most);
}

/* The earliest retry is due in so many ms; -1: none waits. */
static void look_later(struct rd_source *s, int64_t ms)
{
	if (ms == 0)
		rd_later_look(s);
	else if (ms > 0)
		rd_later_look_in(s, (uint64_t)ms + 1);
}

static void claim_taken(struct rd_lane *lane, const struct rd_reply *reply)
{
	struct rd_source *s = &lane->source;
	int64_t wait = rd_reply_int(rd_reply_at(reply, 1), -1);
	int64_t behind;
	size_t n;

	s->ready = true;
	rd_buf_clear(&lane->after);
	rd_buf_addslice(&lane->after, rd_reply_str(rd_reply_at(reply, 2)));
	rd_source_lost(s, rd_reply_at(reply, 3));
	lane->calling = true; /* for taken() */
	n = rd_source_adopt(s, rd_reply_at(reply, 4));
	lane->calling = false;
	lane->cursor = rd_reply_id(rd_reply_at(reply, 5));
	behind = rd_reply_int(rd_reply_at(reply, 6), 0);
	set_want(lane, behind);
	look_later(s, rd_reply_int(rd_reply_at(reply, 7), -1));
	lane->claiming = lane->after.len > 0 || wait >= 0;
	lane->idle = n == 0 && behind == 0;
	if (wait >= 0 && n == 0)
		rd_lane_wait(lane, (uint64_t)wait);
}

static void claimed(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_lane *lane = arg;
	struct rd_self *self = lane->source.self;
	int64_t state = rd_reply_int(rd_reply_at(reply, 0), 0);

	lane->calling = false;
	self->asked -= lane->asked;
	rd_self_wake(self);
	rd_lane_look_soon(lane);
	if (err == RD_EREDIS) {
		rd_log(RD_LOG_ERROR, "lane.claim", "channel=%.*s error=%.*s",
		       RD_SLICE_ARG(lane->source.name),
		       RD_SLICE_ARG(reply->str));
		rd_lane_wait(lane, AGAIN_MS);
	}
	lane->left = lane->left || state == 1;
	if (err != RD_OK || lane->closing || lane->anew) {
		lane->anew = false;
		return; /* unknown: rd_lane_up() comes */
	}
	if (state < 0) {
		lane->ops->fenced(lane->arg, lane);
		return;
	}
	lane->absent = state == 0;
	if (state == 1)
		claim_taken(lane, reply);
	if (!lane->claiming || lane->absent)
		rd_lane_read(lane);
}

size_t rd_lane_room(struct rd_lane *lane, size_t want)
{
	size_t n = rd_self_room_divided(lane->source.self, want,
					lane->source.hand.count > 0);

	if (n == 0)
		lane->ops->hungry(lane->arg, lane);
	return n;
}

/* What the claim plants: all that was asked for before it is void then. */
static void raise_fence(struct rd_lane *lane)
{
	struct rd_source *s = &lane->source;

	lane->generation = ++s->self->generation;
	rd_buf_clear(&s->fence);
	rd_buf_addf(&s->fence, "=%s.%" PRIu64 "-%" PRIu64, s->self->name,
		    lane->token, lane->generation);
}

void rd_lane_claim(struct rd_lane *lane)
{
	struct rd_source *s = &lane->source;
	/* Mostly nothing is pending, so the first step is a small one. */
	size_t n = rd_lane_room(lane, lane->after.len == 0
					  ? RD_LANE_WANT
					  : (size_t)s->self->cfg->batch);
	struct rd_buf tries = RD_BUF_INIT;
	char token[24], generation[24], count[24];
	struct rd_buf later = RD_BUF_INIT;

	if (n == 0)
		return;
	if (lane->after.len == 0)
		raise_fence(lane);
	snprintf(token, sizeof(token), "%" PRIu64, lane->token);
	snprintf(generation, sizeof(generation), "%" PRIu64, lane->generation);
	snprintf(count, sizeof(count), "%zu", n);
	rd_source_key(s, "tries", &tries);
	rd_source_key(s, "later", &later);
	lane->calling =
	    rd_script_call(
		s->self->redis, RD_SCRIPT_CLAIM,
		(struct rd_slice[]){rd_buf_slice(&s->key), rd_buf_slice(&tries),
				    rd_buf_slice(&later)},
		3,
		(struct rd_slice[]){
		    s->self->team, rd_slice_str(s->self->name),
		    rd_slice_str(token), rd_slice_str(generation),
		    rd_slice_str(count),
		    rd_slice_str(lane->after.len > 0 ? rd_buf_text(&lane->after)
						     : "-")},
		6, claimed, lane) == RD_OK;
	if (lane->calling) {
		lane->asked = n;
		s->self->asked += n;
	}
	rd_buf_fini(&tries);
	rd_buf_fini(&later);
}

void rd_lane_leave(struct rd_lane *lane)
{
	struct rd_source *s = &lane->source;

	if (!s->self->open ||
	    rd_script_call(s->self->redis, RD_SCRIPT_LEAVE,
			   (struct rd_slice[]){rd_buf_slice(&s->key)}, 1,
			   (struct rd_slice[]){s->self->team,
					       rd_slice_str(s->self->name),
					       rd_buf_slice(&s->fence)},
			   3, NULL, NULL) != RD_OK) {
		/* Then they count, and run alone for once. */
	}
}

/* --- what is new ---------------------------------------------------------- */

/* It has come to the end: is all that is pending in our hands? */
static void look_astray(struct rd_lane *lane, const struct rd_reply *reply,
			size_t got)
{
	struct rd_source *s = &lane->source;
	int64_t pending = rd_reply_int(rd_reply_at(reply, 4), 0);
	int64_t later = rd_reply_int(rd_reply_at(reply, 5), 0);
	int64_t ours = (int64_t)(lane->held + got);

	lane->cursor = rd_reply_id(rd_reply_at(reply, 3));
	if (pending - later <= ours || lane->claiming)
		return;
	s->self->counters.regained += (uint64_t)(pending - later - ours);
	rd_log(RD_LOG_WARN, "lane.regain", "channel=%.*s count=%lld",
	       RD_SLICE_ARG(s->name), (long long)(pending - later - ours));
	rd_lane_reset(lane);
}

static size_t read_taken(struct rd_lane *lane, const struct rd_reply *reply)
{
	const struct rd_reply *rows =
	    rd_reply_at(rd_reply_at(rd_reply_at(reply, 1), 0), 1);
	size_t n = rows == NULL ? 0 : rows->count;
	size_t most = (size_t)lane->source.self->cfg->batch;

	look_later(&lane->source, rd_reply_int(rd_reply_at(reply, 2), -1));
	if (n > 0)
		lane->cursor = rd_reply_id(rd_reply_at(&rows->items[n - 1], 0));
	/* Else it is pending now, and the claim brings it in its turn. */
	if (!rd_lane_is_stopped(lane) && !lane->claiming)
		rd_source_adopt(&lane->source, rows);
	else
		lane->left = true;
	if (n < lane->asked) {
		lane->want = RD_LANE_WANT;
		look_astray(lane, reply, n);
	} else {
		lane->want = lane->want * 4 < most ? lane->want * 4 : most;
	}
	return n;
}

static void read_done(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_lane *lane = arg;
	int64_t state = rd_reply_int(rd_reply_at(reply, 0), 0);
	bool known = lane->absent;
	size_t n = 0;

	lane->reading = false;
	lane->source.self->asked -= lane->asked;
	rd_self_wake(lane->source.self);
	rd_lane_look_soon(lane);
	if (err == RD_EREDIS) {
		rd_log(RD_LOG_ERROR, "lane.read", "channel=%.*s error=%.*s",
		       RD_SLICE_ARG(lane->source.name),
		       RD_SLICE_ARG(reply->str));
		rd_lane_wait(lane, AGAIN_MS);
	}
	if (err != RD_OK || state < 0 || (state == 0 && !known))
		rd_lane_reset(lane); /* entries may be on their way to us */
	else if (state == 1)
		n = read_taken(lane, reply);
	if (lane->doorbell != NULL)
		rd_bell_answered(lane->doorbell, &lane->bell, n > 0,
				 n > 0 && n == lane->asked);
}

static bool send_read(struct rd_lane *lane, size_t n)
{
	struct rd_source *s = &lane->source;
	struct rd_buf later = RD_BUF_INIT;
	char count[24];

	snprintf(count, sizeof(count), "%zu", n);
	rd_source_key(s, "later", &later);
	lane->reading =
	    rd_script_call(rd_doorbell_link(lane->doorbell), RD_SCRIPT_READ,
			   (struct rd_slice[]){rd_buf_slice(&s->key),
					       rd_buf_slice(&later)},
			   2,
			   (struct rd_slice[]){
			       s->self->team, rd_slice_str(s->self->name),
			       rd_buf_slice(&s->fence), rd_slice_str(count)},
			   4, read_done, lane) == RD_OK;
	rd_buf_fini(&later);
	if (lane->reading) {
		lane->asked = n;
		lane->held = s->hand.count;
		lane->peeked = false;
		s->self->asked += n;
	}
	return lane->reading;
}

/* Nothing new, and nothing that is not in our hands? */
static bool is_as_we_know(const struct rd_lane *lane,
			  const struct rd_reply *groups)
{
	const struct rd_source *s = &lane->source;
	const struct rd_reply *g;

	for (size_t i = 0; (g = rd_reply_at(groups, i)) != NULL; i++) {
		struct rd_id last =
		    rd_reply_id(rd_reply_get(g, "last-delivered-id"));

		if (rd_slice_eq(rd_reply_str(rd_reply_get(g, "name")),
				s->self->team))
			return rd_reply_int(rd_reply_get(g, "lag"), -1) == 0 &&
			       rd_reply_int(rd_reply_get(g, "pending"), 0) <=
				   (int64_t)lane->held &&
			       rd_id_cmp(last, lane->cursor) == 0;
	}
	return false;
}

static void peeked(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_lane *lane = arg;

	lane->peeking = false;
	lane->peeked = err != RD_OK || !is_as_we_know(lane, reply);
	if (lane->doorbell != NULL)
		rd_bell_answered(lane->doorbell, &lane->bell, false,
				 lane->peeked);
	rd_lane_look_soon(lane);
}

/* Most sweeps find nothing, and need no script for that; nor does a channel
 * that is quiet when it is taken over.  This read arms the bell, too. */
static bool peek(struct rd_lane *lane)
{
	const struct rd_slice key = rd_buf_slice(&lane->source.key);

	lane->idle = false;
	lane->held = lane->source.hand.count;
	lane->peeking =
	    rd_redis_call(rd_doorbell_link(lane->doorbell), peeked, lane,
			  "XINFO GROUPS %b", key.data, key.len) == RD_OK;
	return lane->peeking;
}

/* The bell asks for a read; where it cannot be now, rd_lane_read() follows. */
void rd_lane_bell_read(void *arg)
{
	struct rd_lane *lane = arg;
	size_t n;

	lane->full =
	    lane->source.hand.count >= (size_t)lane->source.self->cfg->batch;
	if (lane->claiming && !lane->absent)
		rd_lane_look_soon(lane);
	/* Retries come first: behind a backlog they would never have a turn. */
	lane->put_off =
	    lane->source.ready && (lane->source.due || lane->source.taking);
	if (lane->put_off)
		rd_lane_look_soon(lane);
	if (rd_lane_is_stopped(lane) || (lane->claiming && !lane->absent) ||
	    lane->full || lane->put_off || lane->source.self->quiet ||
	    !lane->ops->may_read(lane->arg, lane) ||
	    (n = rd_lane_room(lane, lane->want)) == 0)
		rd_bell_answered(lane->doorbell, &lane->bell, false, false);
	else if ((lane->bell.swept || lane->idle) && !lane->peeked &&
			 !lane->absent
		     ? !peek(lane)
		     : !send_read(lane, n))
		rd_bell_answered(lane->doorbell, &lane->bell, false, true);
}
