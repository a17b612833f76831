/* SPDX-License-Identifier: MIT */
/*
 * publisher.c -- put messages into channels.
 *
 * Commands of one link are run in order, so ZADD, which makes a channel known,
 * travels directly before the first XADD and costs no turn of its own.  Where
 * ZADD added the name, <prefix>:new is told, which pattern followers read.
 *
 * What is known is remembered for 65,536 channels, and forgotten where an
 * answer says or leaves open that it did not happen; then the next message
 * makes the channel known again, and announces it whatever ZADD answers: one
 * name too many in <prefix>:new does no harm, one too few would.
 *
 * When to trim is drawn at random, also for a channel that is new here, so
 * that several publishers do not trim together, and one that goes round more
 * channels than it remembers still trims.
 *
 * Not here: what may be published by whom, and what trimming spares (trim.lua).
 */
#include "src/buf.h"
#include "src/clock.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/map.h"
#include "src/mem.h"
#include "src/message.h"
#include "src/publisher.h"
#include "src/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define KNOWN_MAX    65536
#define TRIM_EVERY   100 /* messages, on the average */
#define NEW_MAXLEN   "10000"
#define WARN_EACH_MS 60000

struct known {
	struct rd_map_node node; /* by name */
	struct rd_list link;     /* longest unused first */
	bool told;               /* ZADD was sent, and has not failed */
	bool unsure;             /* it may have been lost: announce anyway */
	size_t left;             /* messages until the next trim; at least 1 */
	char name[];
};

/* One command under way. */
struct request {
	struct request *next; /* of the free list */
	struct rd_list link;  /* on the list of those under way */
	struct rd_publisher *owner;
	rd_published_fn *fn; /* of a message; NULL allowed */
	void *arg;
	/* Of ZADD: the channel; on the heap, because few are. */
	char *channel; /* owned */
	size_t len;
};

struct rd_publisher {
	struct rd_redis *link; /* borrowed until free */
	char *prefix;          /* owned */
	char maxlen[24];
	struct rd_map known;
	struct rd_list order;   /* of struct known */
	struct rd_list busy;    /* requests under way */
	struct request *spare;  /* free list */
	struct rd_buf key;      /* of the command that is being made */
	struct rd_slice *words; /* owned; the same */
	size_t word_cap;
	uint64_t warned_ms; /* last complaint about trimming; 0: none */
};

static size_t draw(size_t from, size_t to)
{
	uint32_t r = 0;

	/* Where there are no random bytes, all draw the same. */
	(void)!getrandom(&r, sizeof(r), GRND_NONBLOCK);
	return from + r % (to - from + 1);
}

static struct request *request_new(struct rd_publisher *p)
{
	struct request *r = p->spare;

	if (r == NULL)
		r = rd_new(struct request);
	else
		p->spare = r->next;
	*r = (struct request){.owner = p};
	rd_list_init(&r->link);
	rd_list_push(&p->busy, &r->link);
	return r;
}

static void request_free(struct request *r)
{
	struct rd_publisher *p = r->owner;

	free(r->channel);
	r->channel = NULL;
	rd_list_remove(&r->link);
	r->next = p->spare;
	p->spare = r;
}

static struct known *known_get(struct rd_publisher *p, struct rd_slice channel)
{
	struct rd_map_node *node = rd_map_get(&p->known, channel);

	return node == NULL ? NULL : rd_map_item(node, struct known, node);
}

static void known_drop(struct rd_publisher *p, struct known *k)
{
	rd_map_remove(&p->known, &k->node);
	rd_list_remove(&k->link);
	free(k);
}

/* The channel's record, made where there is none, and used just now. */
static struct known *known_use(struct rd_publisher *p, struct rd_slice channel)
{
	struct known *k = known_get(p, channel);

	if (k == NULL) {
		if (p->known.count >= KNOWN_MAX)
			known_drop(
			    p, rd_list_item(p->order.next, struct known, link));
		k = rd_alloc(sizeof(*k) + channel.len);
		*k = (struct known){.left = draw(1, TRIM_EVERY)};
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
	struct request *r = arg;
	struct rd_publisher *p = r->owner;
	struct rd_slice channel = {r->channel, r->len};
	struct known *k = known_get(p, channel);

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
	request_free(r);
}

static int make_known(struct rd_publisher *p, struct known *k)
{
	struct request *r;
	int err;

	if (k->told)
		return RD_OK;
	r = request_new(p);
	r->channel = rd_strndup(k->node.key.data, k->node.key.len);
	r->len = k->node.key.len;
	rd_key_global(&p->key, p->prefix, "channels");
	err =
	    rd_redis_call(p->link, on_known, r, "ZADD %b NX 0 %b",
			  rd_buf_data(&p->key), p->key.len, r->channel, r->len);
	if (err != RD_OK)
		request_free(r);
	else
		k->told = true;
	return err;
}

static void on_trim(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_publisher *p = arg;
	uint64_t now = rd_clock_ms();

	if (err != RD_EREDIS ||
	    (p->warned_ms != 0 && now - p->warned_ms < WARN_EACH_MS))
		return;
	p->warned_ms = now;
	rd_log(RD_LOG_WARN, "publisher.trim", "why=%s", reply->str.data);
}

static void count(struct rd_publisher *p, struct known *k, size_t n)
{
	struct rd_slice key, maxlen = rd_slice_str(p->maxlen);

	if (n < k->left) {
		k->left -= n;
		return;
	}
	k->left = draw(TRIM_EVERY / 2, TRIM_EVERY * 3 / 2);
	rd_key_channel(&p->key, p->prefix, k->node.key);
	key = rd_buf_slice(&p->key);
	/* Where it cannot be sent, the next hundred will do it. */
	(void)!rd_script_call(p->link, RD_SCRIPT_TRIM, &key, 1, &maxlen, 1,
			      on_trim, p);
}

static void on_published(void *arg, int err, const struct rd_reply *reply)
{
	struct request *r = arg;
	rd_published_fn *fn = r->fn;
	void *fn_arg = r->arg;

	request_free(r);
	if (fn == NULL)
		return;
	if (err == RD_OK)
		fn(fn_arg, RD_OK, rd_reply_id(reply), "");
	else
		fn(fn_arg, err, RD_ID_ZERO,
		   err == RD_EREDIS ? reply->str.data : rd_strerror(err));
}

static size_t add_field(struct rd_slice *words, size_t n, const char *name,
			struct rd_slice value)
{
	if (value.data == NULL)
		return n;
	words[n++] = rd_slice_str(name);
	words[n++] = value;
	return n;
}

/* Makes the words of XADD key * ... and returns their number. */
static size_t make_words(struct rd_publisher *p, struct rd_slice channel,
			 const struct rd_message *msg)
{
	size_t need = 3 + 8 + msg->field_count, n = 0;
	struct rd_slice *w;

	if (need > p->word_cap) {
		p->words = rd_realloc(p->words, need * sizeof(*p->words));
		p->word_cap = need;
	}
	w = p->words;
	rd_key_channel(&p->key, p->prefix, channel);
	w[n++] = rd_slice_str("XADD");
	w[n++] = rd_buf_slice(&p->key);
	w[n++] = rd_slice_str("*");
	if (msg->encoding == RD_ENC_FIELDS) {
		memcpy(w + n, msg->fields, msg->field_count * sizeof(*w));
		return n + msg->field_count;
	}
	n = add_field(w, n, "type", msg->type);
	n = add_field(w, n, "from", msg->from);
	n = add_field(w, n, "key", msg->key);
	w[n++] = rd_slice_str(rd_encoding_field(msg->encoding));
	w[n++] = msg->payload;
	return n;
}

int rd_publisher_send(struct rd_publisher *p, struct rd_slice channel,
		      const struct rd_message *msg, rd_published_fn *fn,
		      void *arg)
{
	struct known *k = known_use(p, channel);
	struct request *r;
	size_t word_count;
	int err = make_known(p, k);

	if (err != RD_OK)
		return err;
	/* First: it may move p->words. */
	word_count = make_words(p, channel, msg);
	r = request_new(p);
	r->fn = fn;
	r->arg = arg;
	err = rd_redis_send(p->link, on_published, r, p->words, word_count);
	if (err != RD_OK)
		request_free(r);
	else
		count(p, k, 1);
	return err;
}

void rd_publisher_note(struct rd_publisher *p, struct rd_slice channel,
		       size_t n)
{
	struct known *k = known_use(p, channel);

	/* Where it cannot be sent, the next message does it. */
	if (make_known(p, k) == RD_OK)
		count(p, k, n);
}

struct rd_publisher *rd_publisher_new(struct rd_loop *loop,
				      struct rd_redis *link, const char *prefix,
				      int64_t maxlen)
{
	struct rd_publisher *p = rd_new(struct rd_publisher);

	(void)loop;
	p->link = link;
	p->prefix = rd_strdup(prefix);
	snprintf(p->maxlen, sizeof(p->maxlen), "%lld", (long long)maxlen);
	rd_map_init(&p->known);
	rd_list_init(&p->order);
	rd_list_init(&p->busy);
	return p;
}

void rd_publisher_forget(struct rd_publisher *p)
{
	while (!rd_list_empty(&p->order))
		known_drop(p, rd_list_item(p->order.next, struct known, link));
}

void rd_publisher_free(struct rd_publisher **pp)
{
	struct rd_publisher *p = *pp;
	struct request *r;

	*pp = NULL;
	if (p == NULL)
		return;
	while (!rd_list_empty(&p->busy))
		request_free(rd_list_item(p->busy.next, struct request, link));
	while ((r = p->spare) != NULL) {
		p->spare = r->next;
		free(r);
	}
	rd_publisher_forget(p);
	rd_map_fini(&p->known);
	rd_buf_fini(&p->key);
	free(p->words);
	free(p->prefix);
	free(p);
}
