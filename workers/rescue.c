/* SPDX-License-Identifier: MIT */
/*
 * rescue.c -- take over what would otherwise stay pending; see shared.h.
 *
 * Three kinds: entries of workers that died, retries whose time has come, and
 * our own, whose delivery was lost with the link.  All workers do this at the
 * same time and without a leader: each is one script that moves an entry only
 * while it is still pending under the name that it is taken from, so the
 * first one has it and the others find nothing.
 *
 * Who lives is not guessed from idle times, which a long handler would fail:
 * the consumers of the group are compared with the living of the team
 * (peers.c), and the script looks once more.
 */
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"
#include "workers/peers.h"
#include "workers/shared.h"

#include <stdio.h>
#include <stdlib.h>

#define CALL_MAX 1000 /* entries that one script call moves */
#define CALM_MS  200  /* spread of workers that wait for the same moment */

/* A dead worker whose entries are taken over. */
struct orphan {
	struct rd_list link;
	struct rd_slice name; /* behind this object */
	size_t asked;         /* entries that the call under way asked for */
};

static void calm_over(void *arg)
{
	rd_rescue_survey(arg);
}

void rd_rescue_init(struct rd_shared *s)
{
	rd_list_init(&s->orphans);
	rd_source_key(&s->source, "later", &s->later_key);
	rd_timer_init(&s->calm, s->source.self->loop, calm_over, s);
}

static void orphan_drop(struct orphan *o)
{
	rd_list_remove(&o->link);
	free(o);
}

static struct orphan *orphan_first(struct rd_shared *s)
{
	return rd_list_empty(&s->orphans)
		   ? NULL
		   : rd_list_item(s->orphans.next, struct orphan, link);
}

static void orphan_add(struct rd_shared *s, struct rd_slice name)
{
	struct rd_list *pos;
	struct orphan *o;

	rd_list_each (pos, &s->orphans) {
		o = rd_list_item(pos, struct orphan, link);
		if (rd_slice_eq(o->name, name))
			return;
	}
	o = rd_zalloc(sizeof(*o) + name.len + 1);
	memcpy(o + 1, name.data, name.len);
	o->name = (struct rd_slice){(const char *)(o + 1), name.len};
	rd_list_push(&s->orphans, &o->link);
	rd_log(RD_LOG_DEBUG, "rescue.found", "channel=%.*s dead=%.*s",
	       RD_SLICE_ARG(s->source.name), RD_SLICE_ARG(name));
}

void rd_rescue_fini(struct rd_shared *s)
{
	rd_timer_stop(&s->calm);
	rd_rescue_bell(s, NULL);
	rd_buf_fini(&s->later_key);
	while (!rd_list_empty(&s->orphans))
		orphan_drop(orphan_first(s));
}

/* Takes what rescue.lua moved to us; the number of entries it settled. */
static size_t adopt(struct rd_shared *s, const struct rd_reply *reply,
		    uint64_t *counter)
{
	const struct rd_reply *lost = rd_reply_at(reply, 2);
	const struct rd_reply *rows = rd_reply_at(reply, 3);

	rd_source_lost(&s->source, lost);
	*counter += rd_source_adopt(&s->source, rows);
	return (rows == NULL ? 0 : rows->count) +
	       (lost == NULL ? 0 : lost->count);
}

static void forget(struct rd_shared *s, struct rd_slice name)
{
	struct rd_slice keys[] = {rd_buf_slice(&s->source.key),
				  rd_buf_slice(&s->source.self->team_key)};
	struct rd_slice args[] = {s->source.self->team, name};

	if (rd_script_call(s->source.self->redis, RD_SCRIPT_FORGET, keys, 2,
			   args, 2, NULL, NULL) != RD_OK) {
		/* The next survey finds it again. */
	}
}

static void rescued(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_shared *s = arg;
	struct orphan *o = orphan_first(s);
	int64_t state = rd_reply_int(rd_reply_at(reply, 0), 0);
	int64_t wait = rd_reply_int(rd_reply_at(reply, 1), 0);
	size_t n;

	s->rescuing = false;
	s->source.self->asked -= o->asked;
	if (err != RD_OK || state == 0) {
		/* It lives, or the next survey finds it again. */
		orphan_drop(o);
	} else if (state < 0) {
		orphan_drop(o);
		rd_timer_start(&s->calm,
			       (uint64_t)wait + rd_self_random() % CALM_MS + 1);
	} else {
		n = adopt(s, reply, &s->source.self->counters.rescued);
		if (n > 0)
			rd_log(RD_LOG_INFO, "rescue.taken",
			       "channel=%.*s dead=%.*s count=%zu",
			       RD_SLICE_ARG(s->source.name),
			       RD_SLICE_ARG(o->name), n);
		if (rd_reply_int(rd_reply_at(reply, 4), 0) == 0) {
			forget(s, o->name);
			orphan_drop(o);
		}
	}
	rd_self_wake(s->source.self);
}

/* Sends rescue.lua; ids NULL: from somebody else, as many as count. */
static int send_rescue(struct rd_shared *s, struct rd_slice from, size_t count,
		       const struct rd_id *ids, rd_reply_fn *fn)
{
	struct rd_buf tries = RD_BUF_INIT;
	size_t n = 5 + (ids == NULL ? 0 : count);
	struct rd_slice *args = rd_new_array(struct rd_slice, n);
	char(*texts)[RD_ID_TEXT] = rd_calloc(n, RD_ID_TEXT);
	char lease[24], number[24];
	int err;

	snprintf(lease, sizeof(lease), "%lld",
		 (long long)s->source.self->cfg->lease_ms);
	snprintf(number, sizeof(number), "%zu", count);
	args[0] = s->source.self->team;
	args[1] = from;
	args[2] = rd_slice_str(s->source.self->name);
	args[3] = rd_slice_str(lease);
	args[4] = rd_slice_str(number);
	for (size_t i = 5; i < n; i++)
		args[i] = rd_slice_str(rd_id_text(ids[i - 5], texts[i]));
	rd_source_key(&s->source, "tries", &tries);
	err = rd_script_call(
	    s->source.self->redis, RD_SCRIPT_RESCUE,
	    (struct rd_slice[]){rd_buf_slice(&s->source.key),
				rd_buf_slice(&tries),
				rd_buf_slice(&s->source.self->team_key)},
	    3, args, n, fn, s);
	rd_buf_fini(&tries);
	free(texts);
	free(args);
	return err;
}

static void rescue_more(struct rd_shared *s)
{
	struct orphan *o = orphan_first(s);
	size_t room = rd_self_room(s->source.self);

	if (o == NULL || s->rescuing || room == 0)
		return;
	o->asked = room < CALL_MAX ? room : CALL_MAX;
	if (send_rescue(s, o->name, o->asked, NULL, rescued) != RD_OK)
		return;
	s->rescuing = true;
	s->source.self->asked += o->asked;
}

/* Whose fence it is, where it is one; "=later" is nobody's. */
static struct rd_slice without_fence(struct rd_slice name)
{
	if (name.data[0] != '=')
		return name;
	while (name.len > 0 && name.data[name.len - 1] != '.')
		name.len--;
	return name.len < 2 ? (struct rd_slice){0}
			    : (struct rd_slice){name.data + 1, name.len - 2};
}

/* One consumer of the group. */
static void judge(struct rd_shared *s, const struct rd_reply *row)
{
	struct rd_slice name = rd_reply_str(rd_reply_get(row, "name"));
	int64_t pending = rd_reply_int(rd_reply_get(row, "pending"), 0);

	if (name.len == 0)
		return;
	if (name.data[0] == '=' && pending > 0) {
		s->source.repair = s->source.due = true;
		return;
	}
	name = without_fence(name);
	if (name.len == 0 || rd_slice_is(name, s->source.self->name)) {
		return;
	} else if (rd_peers_lives(s->peers, name)) {
		return;
	} else if (pending > 0) {
		orphan_add(s, name);
	} else {
		forget(s, name);
	}
}

static void surveyed(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_shared *s = arg;

	s->surveying = false;
	if (err == RD_EREDIS) {
		/* No key, no group. */
		rd_shared_ensure(s);
		return;
	}
	for (size_t i = 0; err == RD_OK && i < reply->count; i++)
		judge(s, &reply->items[i]);
	rd_self_wake(s->source.self);
}

void rd_rescue_survey(struct rd_shared *s)
{
	struct rd_slice key = rd_buf_slice(&s->source.key);

	if (!s->source.ready || s->surveying)
		return;
	if (rd_redis_call(s->source.self->redis, surveyed, s,
			  "XINFO CONSUMERS %b %b", key.data, key.len,
			  s->source.self->team.data,
			  s->source.self->team.len) == RD_OK)
		s->surveying = true;
}

void rd_rescue_more(struct rd_shared *s)
{
	if (!rd_shared_readable(s) || !s->source.self->open)
		return;
	rescue_more(s);
	rd_later_more(&s->source, rd_self_room(s->source.self));
}

static void bell_read_done(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_shared *s = arg;
	struct rd_slice head = rd_reply_str(rd_reply_at(reply, 1));
	bool found = err == RD_OK && head.len > 0 &&
		     !rd_slice_eq(head, rd_buf_slice(&s->head));

	s->reading = false;
	if (err == RD_OK) {
		rd_buf_clear(&s->head);
		rd_buf_addslice(&s->head, head);
	}
	if (found)
		rd_later_look(&s->source);
	if (s->doorbell != NULL)
		rd_bell_answered(s->doorbell, &s->bell, found, false);
}

/* The earliest due time; reading it arms the bell. */
static void bell_read(void *arg)
{
	struct rd_shared *s = arg;
	struct rd_slice key = rd_buf_slice(&s->later_key);

	if (!s->reading &&
	    rd_redis_call(rd_doorbell_link(s->doorbell), bell_read_done, s,
			  "ZRANGE %b 0 0 WITHSCORES", key.data,
			  key.len) == RD_OK)
		s->reading = true;
	else
		rd_bell_answered(s->doorbell, &s->bell, false, true);
}

void rd_rescue_bell(struct rd_shared *s, struct rd_doorbell *doorbell)
{
	static const struct rd_bell_ops ops = {bell_read};

	if (s->doorbell != NULL)
		rd_bell_remove(s->doorbell, &s->bell);
	s->doorbell = doorbell;
	if (doorbell != NULL)
		rd_bell_add(doorbell, &s->bell, rd_buf_slice(&s->later_key),
			    &ops, s, NULL);
	else
		rd_buf_fini(&s->head);
}

static void regained(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_shared *s = arg;
	uint64_t n = s->source.self->counters.regained;

	if (err != RD_OK)
		return;
	adopt(s, reply, &s->source.self->counters.regained);
	n = s->source.self->counters.regained - n;
	/* None: they were committed while we asked. */
	if (n > 0)
		rd_log(RD_LOG_INFO, "rescue.regained",
		       "channel=%.*s count=%llu", RD_SLICE_ARG(s->source.name),
		       (unsigned long long)n);
}

void rd_rescue_regain(struct rd_shared *s, const struct rd_id *ids,
		      size_t count)
{
	struct rd_slice me = rd_slice_str(s->source.self->name);

	for (size_t at = 0; at < count; at += CALL_MAX) {
		size_t n = count - at < CALL_MAX ? count - at : CALL_MAX;

		if (send_rescue(s, me, n, ids + at, regained) != RD_OK)
			return; /* the next sweep finds them */
	}
}

void rd_rescue_leave(struct rd_shared *s)
{
	forget(s, rd_slice_str(s->source.self->name));
}
