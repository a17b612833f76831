/* SPDX-License-Identifier: MIT */
/*
 * lane_io.c -- what comes into a lane; see lane.h.
 *
 * Two roads lead in.  claim.lua takes what is pending, in order, and is asked
 * only while nothing of this channel is in our hands.  read.lua takes what is
 * new, when the bell rings.
 */
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"
#include "workers/lane_impl.h"

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

static void claim_taken(struct rd_lane *lane, const struct rd_reply *reply)
{
	struct rd_source *s = &lane->source;
	int64_t wait = rd_reply_int(rd_reply_at(reply, 1), -1);
	size_t n;

	s->ready = true;
	rd_buf_clear(&lane->after);
	rd_buf_addslice(&lane->after, rd_reply_str(rd_reply_at(reply, 2)));
	rd_source_lost(s, rd_reply_at(reply, 3));
	lane->calling = true; /* for taken() */
	n = rd_source_adopt(s, rd_reply_at(reply, 4));
	lane->calling = false;
	lane->cursor = rd_reply_id(rd_reply_at(reply, 5));
	set_want(lane, rd_reply_int(rd_reply_at(reply, 6), 0));
	lane->claiming = lane->after.len > 0 || wait >= 0;
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
	if (err != RD_OK || lane->closing)
		return; /* unknown: rd_lane_up() comes */
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

void rd_lane_claim(struct rd_lane *lane)
{
	struct rd_source *s = &lane->source;
	/* Mostly nothing is pending, so the first step is a small one. */
	size_t n = rd_lane_room(lane, lane->after.len == 0
					  ? RD_LANE_WANT
					  : (size_t)s->self->cfg->batch);
	struct rd_buf tries = RD_BUF_INIT;
	char count[24], *token = strrchr(rd_buf_text(&s->fence), '.') + 1;

	if (n == 0)
		return;
	snprintf(count, sizeof(count), "%zu", n);
	rd_source_key(s, "tries", &tries);
	lane->calling =
	    rd_script_call(
		s->self->redis, RD_SCRIPT_CLAIM,
		(struct rd_slice[]){rd_buf_slice(&s->key),
				    rd_buf_slice(&tries)},
		2,
		(struct rd_slice[]){s->self->team, rd_slice_str(s->self->name),
				    rd_slice_str(token), rd_slice_str(count),
				    rd_slice_str(lane->after.len > 0
						     ? rd_buf_text(&lane->after)
						     : "-")},
		5, claimed, lane) == RD_OK;
	if (lane->calling) {
		lane->asked = n;
		s->self->asked += n;
	}
	rd_buf_fini(&tries);
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

static size_t read_taken(struct rd_lane *lane, const struct rd_reply *reply)
{
	const struct rd_reply *rows =
	    rd_reply_at(rd_reply_at(rd_reply_at(reply, 1), 0), 1);
	size_t n = rows == NULL ? 0 : rows->count;
	size_t most = (size_t)lane->source.self->cfg->batch;

	if (n > 0)
		lane->cursor = rd_reply_id(rd_reply_at(&rows->items[n - 1], 0));
	/* Else it is pending now, and the claim brings it in its turn. */
	if (!rd_lane_is_stopped(lane) && !lane->claiming)
		rd_source_adopt(&lane->source, rows);
	else
		lane->left = true;
	if (n == 0 && lane->source.ready && !lane->bell.swept)
		rd_later_look(&lane->source); /* what else may have rung? */
	if (n < lane->asked)
		lane->want = RD_LANE_WANT;
	else
		lane->want = lane->want * 4 < most ? lane->want * 4 : most;
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
	char count[24];

	snprintf(count, sizeof(count), "%zu", n);
	lane->reading =
	    rd_script_call(rd_doorbell_link(lane->doorbell), RD_SCRIPT_READ,
			   (struct rd_slice[]){rd_buf_slice(&s->key)}, 1,
			   (struct rd_slice[]){
			       s->self->team, rd_slice_str(s->self->name),
			       rd_buf_slice(&s->fence), rd_slice_str(count)},
			   4, read_done, lane) == RD_OK;
	if (lane->reading) {
		lane->asked = n;
		s->self->asked += n;
	}
	return lane->reading;
}

/* The sweep's answer: where something is there, it is read in earnest. */
static void peeked(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_lane *lane = arg;
	bool found = err == RD_OK && reply->type == RD_REPLY_ARRAY;

	lane->peeking = false;
	if (lane->doorbell != NULL)
		rd_bell_answered(lane->doorbell, &lane->bell, found, found);
	rd_lane_look_soon(lane);
}

/* Most sweeps find nothing, and need no script for that. */
static bool peek(struct rd_lane *lane)
{
	lane->peeking = rd_stream_read(rd_doorbell_link(lane->doorbell),
				       rd_buf_slice(&lane->source.key),
				       lane->cursor, 1, peeked, lane) == RD_OK;
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
	if (rd_lane_is_stopped(lane) || (lane->claiming && !lane->absent) ||
	    lane->full || lane->source.self->quiet ||
	    !lane->ops->may_read(lane->arg, lane) ||
	    (n = rd_lane_room(lane, lane->want)) == 0)
		rd_bell_answered(lane->doorbell, &lane->bell, false, false);
	else if (lane->bell.swept ? !peek(lane) : !send_read(lane, n))
		rd_bell_answered(lane->doorbell, &lane->bell, false, true);
}
