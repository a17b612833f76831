/* SPDX-License-Identifier: MIT */
/*
 * publisher_known.c -- what a publisher knows of its channels.
 *
 * Whether the channel is known in Redis: remembered for 65,536 channels, and
 * forgotten where an answer says or leaves open that it did not happen; then
 * the next message makes the channel known again, and announces it whatever
 * ZADD answers: one name too many in <prefix>:new does no harm, one too few
 * would.  It is told again on each connection, because a Redis that was started
 * anew may have lost its last second.  Where channels expire, it is told again
 * after half of that time: a channel that has gone had no message for longer.
 *
 * When to trim: drawn at random, also for a channel that is new here, so that
 * several publishers do not trim together, and one that goes round more
 * channels than it remembers still trims.
 *
 * Whether it is full: the answer to a trim tells the length.  Where nothing
 * could be trimmed because some group is behind, and still it is above the
 * limit, messages from outside are refused, and a trim asks again while
 * somebody tries.
 *
 * Not here: what trimming spares (trim.lua).
 */
#include "src/clock.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/publisher_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

#define KNOWN_MAX    65536
#define TRIM_EVERY   100 /* messages, on the average */
#define NEW_MAXLEN   "10000"
#define WARN_EACH_MS 60000
#define ASK_EACH_MS  200 /* how a full channel stands */

static size_t draw(size_t from, size_t to)
{
	uint32_t r = 0;

	/* Where there are no random bytes, all draw the same. */
	(void)!getrandom(&r, sizeof(r), GRND_NONBLOCK);
	return from + r % (to - from + 1);
}

static bool is_over(uint64_t *last_ms, uint64_t each_ms)
{
	uint64_t now = rd_clock_ms();

	if (*last_ms != 0 && now - *last_ms < each_ms)
		return false;
	*last_ms = now;
	return true;
}

struct publisher_request *publisher_request_of(struct rd_publisher *p,
					       struct rd_slice channel)
{
	struct publisher_request *r = publisher_request_new(p);

	r->channel = rd_strndup(channel.data, channel.len);
	r->len = channel.len;
	return r;
}

struct publisher_known *publisher_known_get(struct rd_publisher *p,
					    struct rd_slice channel)
{
	struct rd_map_node *node = rd_map_get(&p->known, channel);

	return node == NULL ? NULL
			    : rd_map_item(node, struct publisher_known, node);
}

static void known_drop(struct rd_publisher *p, struct publisher_known *k)
{
	rd_map_remove(&p->known, &k->node);
	rd_list_remove(&k->link);
	free(k);
}

struct publisher_known *publisher_known_use(struct rd_publisher *p,
					    struct rd_slice channel)
{
	struct publisher_known *k = publisher_known_get(p, channel);

	if (k == NULL) {
		if (p->known.count >= KNOWN_MAX)
			known_drop(p,
				   rd_list_item(p->order.next,
						struct publisher_known, link));
		k = rd_alloc(sizeof(*k) + channel.len);
		*k = (struct publisher_known){.left = draw(1, TRIM_EVERY)};
		memcpy(k->name, channel.data, channel.len);
		rd_map_put(&p->known, &k->node,
			   (struct rd_slice){k->name, channel.len});
		rd_list_init(&k->link);
	}
	rd_list_remove(&k->link);
	rd_list_push(&p->order, &k->link);
	return k;
}

static void announce(struct rd_publisher *p, struct rd_slice channel)
{
	rd_key_global(&p->key, p->prefix, "new");
	/* Where it fails, followers find the channel by their scan. */
	(void)!rd_redis_call(
	    p->link, NULL, NULL, "XADD %b MAXLEN ~ " NEW_MAXLEN " * channel %b",
	    rd_buf_data(&p->key), p->key.len, channel.data, channel.len);
}

static void on_known(void *arg, int err, const struct rd_reply *reply)
{
	struct publisher_request *r = arg;
	struct rd_publisher *p = r->owner;
	struct rd_slice channel = {r->channel, r->len};
	struct publisher_known *k = publisher_known_get(p, channel);

	if (err != RD_OK) {
		if (err == RD_EREDIS)
			rd_log(RD_LOG_WARN, "publisher.known",
			       "channel=%.*s why=%s", RD_SLICE_ARG(channel),
			       reply->str.data);
		if (k != NULL) {
			k->told = false;
			k->unsure = true;
		}
	} else if (reply->integer > 0 || (k != NULL && k->unsure)) {
		announce(p, channel);
		if (k != NULL)
			k->unsure = false;
	}
	publisher_request_free(r);
}

int publisher_known_tell(struct rd_publisher *p, struct publisher_known *k)
{
	struct publisher_request *r;
	int err;

	if (k->told && k->session == p->session &&
	    (p->tell_each_ms == 0 || !is_over(&k->told_ms, p->tell_each_ms)))
		return RD_OK;
	r = publisher_request_of(p, k->node.key);
	rd_key_global(&p->key, p->prefix, "channels");
	err =
	    rd_redis_call(p->link, on_known, r, "ZADD %b NX 0 %b",
			  rd_buf_data(&p->key), p->key.len, r->channel, r->len);
	if (err != RD_OK) {
		publisher_request_free(r);
		k->told = false;
		return err;
	}
	k->told = true;
	k->session = p->session;
	if (p->tell_each_ms != 0)
		k->told_ms = rd_clock_ms();
	return RD_OK;
}

/* Full: nothing could be trimmed, because of a group. */
static void judge(struct rd_publisher *p, struct publisher_known *k,
		  const struct rd_trimmed *t)
{
	k->full = p->limit > 0 && t->left >= p->limit && t->removed == 0 &&
		  t->holder.len > 0;
	if (k->full && is_over(&p->full_ms, WARN_EACH_MS))
		rd_log(RD_LOG_WARN, "publisher.full",
		       "channel=%.*s messages=%" PRId64 " team=%.*s "
		       "refused=%" PRIu64,
		       RD_SLICE_ARG(k->node.key), t->left,
		       RD_SLICE_ARG(t->holder), p->counters.backlog_refused);
}

static void on_trim(void *arg, int err, const struct rd_reply *reply)
{
	struct publisher_request *r = arg;
	struct rd_publisher *p = r->owner;
	struct rd_slice channel = {r->channel, r->len};
	struct publisher_known *k = publisher_known_get(p, channel);
	rd_fn *looked = r->looked;
	void *looked_arg = r->arg;
	struct rd_trimmed trimmed;

	if (err == RD_OK) {
		rd_trim_read(&p->trim, channel, reply, &trimmed);
		if (k != NULL)
			judge(p, k, &trimmed);
	} else if (err == RD_EREDIS && is_over(&p->warned_ms, WARN_EACH_MS)) {
		rd_log(RD_LOG_WARN, "publisher.trim", "why=%s",
		       reply->str.data);
	}
	publisher_request_free(r);
	if (looked != NULL)
		looked(looked_arg);
}

int publisher_known_trim(struct rd_publisher *p, struct publisher_known *k,
			 rd_fn *looked, void *arg)
{
	struct publisher_request *r = publisher_request_of(p, k->node.key);
	int err;

	r->looked = looked;
	r->arg = arg;
	err = rd_trim_send(&p->trim, k->node.key, on_trim, r);
	if (err != RD_OK) {
		publisher_request_free(r);
		return err;
	}
	k->left = draw(TRIM_EVERY / 2, TRIM_EVERY * 3 / 2);
	if (p->limit > 0)
		k->asked_ms = rd_clock_ms();
	return RD_OK;
}

void publisher_known_count(struct rd_publisher *p, struct publisher_known *k,
			   size_t n)
{
	if (n < k->left)
		k->left -= n;
	else /* where it cannot be sent, the next message will do it */
		(void)!publisher_known_trim(p, k, NULL, NULL);
}

int publisher_known_admit(struct rd_publisher *p, struct publisher_known *k)
{
	if (!k->full)
		return publisher_known_tell(p, k);
	if (rd_clock_ms() - k->asked_ms >= ASK_EACH_MS)
		(void)!publisher_known_trim(p, k, NULL, NULL);
	p->counters.backlog_refused++;
	return RD_EBACKLOG;
}

void publisher_known_admitted(struct rd_publisher *p, struct publisher_known *k)
{
	if (p->limit > 0 && k->asked_ms == 0)
		(void)!publisher_known_trim(p, k, NULL, NULL);
	else
		publisher_known_count(p, k, 1);
}

void rd_publisher_up(struct rd_publisher *p)
{
	p->session++;
}

void rd_publisher_forget(struct rd_publisher *p)
{
	while (!rd_list_empty(&p->order))
		known_drop(p, rd_list_item(p->order.next,
					   struct publisher_known, link));
}
