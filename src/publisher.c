/* SPDX-License-Identifier: MIT */
/*
 * publisher.c -- put messages into channels; see publisher.h.
 *
 * Commands of one link are run in order, so ZADD, which makes a channel known,
 * travels directly before the first XADD and costs no turn of its own.  Where
 * ZADD added the name, <prefix>:new is told, which pattern followers read.
 *
 * Not here: what may be published by whom; what is known of channels
 * (publisher_known.c).
 */
#include "src/keys.h"
#include "src/mem.h"
#include "src/message.h"
#include "src/publisher_impl.h"
#include "src/script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct publisher_request *publisher_request_new(struct rd_publisher *p)
{
	struct publisher_request *r = p->spare;

	if (r == NULL)
		r = rd_new(struct publisher_request);
	else
		p->spare = r->next;
	*r = (struct publisher_request){.owner = p};
	rd_list_init(&r->link);
	rd_list_push(&p->busy, &r->link);
	return r;
}

void publisher_request_free(struct publisher_request *r)
{
	struct rd_publisher *p = r->owner;

	free(r->channel);
	r->channel = NULL;
	rd_list_remove(&r->link);
	r->next = p->spare;
	p->spare = r;
}

int rd_publisher_look(struct rd_publisher *p, struct rd_slice channel,
		      rd_fn *fn, void *arg)
{
	return publisher_known_trim(p, publisher_known_use(p, channel), fn,
				    arg);
}

static void on_published(void *arg, int err, const struct rd_reply *reply)
{
	struct publisher_request *r = arg;
	rd_published_fn *fn = r->fn;
	void *fn_arg = r->arg;

	publisher_request_free(r);
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

static int publish(struct rd_publisher *p, struct publisher_known *k,
		   struct rd_slice channel, const struct rd_message *msg,
		   rd_published_fn *fn, void *arg)
{
	struct publisher_request *r;
	size_t word_count;
	int err = publisher_known_admit(p, k);

	if (err != RD_OK)
		return err;
	/* First: it may move p->words. */
	word_count = make_words(p, channel, msg);
	r = publisher_request_new(p);
	r->fn = fn;
	r->arg = arg;
	err = rd_redis_send(p->link, on_published, r, p->words, word_count);
	if (err != RD_OK)
		publisher_request_free(r);
	else
		publisher_known_admitted(p, k);
	return err;
}

int rd_publisher_send(struct rd_publisher *p, struct rd_slice channel,
		      const struct rd_message *msg, rd_published_fn *fn,
		      void *arg)
{
	struct publisher_known *k = publisher_known_use(p, channel);

	k->there = true;
	return publish(p, k, channel, msg, fn, arg);
}

static bool is_there(const struct publisher_known *k)
{
	return k != NULL && k->there;
}

int rd_publisher_add(struct rd_publisher *p, struct rd_slice channel,
		     const struct rd_message *msg, rd_published_fn *fn,
		     void *arg)
{
	struct publisher_known *k = publisher_known_get(p, channel);

	if (!is_there(k))
		return RD_ENOTFOUND;
	rd_list_remove(&k->link);
	rd_list_push(&p->order, &k->link);
	return publish(p, k, channel, msg, fn, arg);
}

/* Others may have made it since it was asked for. */
static void on_found(void *arg, int err, const struct rd_reply *reply)
{
	struct publisher_request *r = arg;
	struct rd_slice channel = {r->channel, r->len};
	rd_found_fn *fn = r->found;
	void *fn_arg = r->arg;

	if (err == RD_OK && rd_reply_int(reply, 0) == 0 &&
	    !is_there(publisher_known_get(r->owner, channel)))
		err = RD_ENOTFOUND;
	publisher_request_free(r);
	fn(fn_arg, err);
}

int rd_publisher_find(struct rd_publisher *p, struct rd_slice channel,
		      rd_found_fn *fn, void *arg)
{
	struct publisher_request *r = publisher_request_of(p, channel);
	int err;

	r->found = fn;
	r->arg = arg;
	rd_key_channel(&p->key, p->prefix, channel);
	err = rd_redis_call(p->link, on_found, r, "EXISTS %b",
			    rd_buf_data(&p->key), p->key.len);
	if (err != RD_OK)
		publisher_request_free(r);
	return err;
}

static void on_delayed(void *arg, int err, const struct rd_reply *reply)
{
	struct publisher_request *r = arg;
	rd_delayed_fn *fn = r->late;
	void *fn_arg = r->arg;

	publisher_request_free(r);
	if (fn == NULL)
		return;
	if (err == RD_OK)
		fn(fn_arg, RD_OK, (uint64_t)rd_reply_int(reply, 0), "");
	else
		fn(fn_arg, err, 0,
		   err == RD_EREDIS ? reply->str.data : rd_strerror(err));
}

int rd_publisher_later(struct rd_publisher *p, struct rd_slice channel,
		       const struct rd_message *msg, uint64_t delay_ms,
		       rd_delayed_fn *fn, void *arg)
{
	struct publisher_known *k = publisher_known_use(p, channel);
	struct rd_slice keys[2];
	char delay[24];
	struct publisher_request *r;
	size_t word_count;
	int err = publisher_known_admit(p, k);

	if (err != RD_OK)
		return err;
	/* The entry's words stand behind XADD, key and "*". */
	word_count = make_words(p, channel, msg);
	snprintf(delay, sizeof(delay), "%" PRIu64, delay_ms);
	p->words[1] = channel;
	p->words[2] = rd_slice_str(delay);
	rd_key_beside(&p->beside, p->prefix, "delayed", channel);
	keys[0] = rd_buf_slice(&p->beside);
	keys[1] = rd_buf_slice(&p->index);
	r = publisher_request_new(p);
	r->late = fn;
	r->arg = arg;
	err = rd_script_call(p->link, RD_SCRIPT_DELAY, keys, 2, p->words + 1,
			     word_count - 1, on_delayed, r);
	if (err != RD_OK)
		publisher_request_free(r);
	else
		publisher_known_admitted(p, k);
	return err;
}

void rd_publisher_note(struct rd_publisher *p, struct rd_slice channel,
		       size_t n)
{
	struct publisher_known *k = publisher_known_use(p, channel);

	if (k->full)
		p->counters.backlog_exempt += n;
	/* Where it cannot be sent, the next message does it. */
	if (publisher_known_tell(p, k) == RD_OK)
		publisher_known_count(p, k, n);
}

struct rd_publisher_counters rd_publisher_counters(const struct rd_publisher *p)
{
	struct rd_publisher_counters c = p->counters;

	c.trimmed_expired = p->trim.passed;
	return c;
}

struct rd_publisher *rd_publisher_new(struct rd_redis *link,
				      const struct rd_config *cfg)
{
	struct rd_publisher *p = rd_new(struct rd_publisher);

	p->link = link;
	p->prefix = rd_strdup(cfg->prefix);
	p->limit = cfg->backlog_limit;
	p->tell_each_ms = (uint64_t)cfg->expire_ms / 2;
	rd_key_global(&p->index, p->prefix, "delayed");
	rd_trim_init(&p->trim, link, p->prefix, cfg);
	rd_map_init(&p->known);
	rd_list_init(&p->order);
	rd_list_init(&p->busy);
	return p;
}

void rd_publisher_free(struct rd_publisher **pp)
{
	struct rd_publisher *p = *pp;
	struct publisher_request *r;

	*pp = NULL;
	if (p == NULL)
		return;
	while (!rd_list_empty(&p->busy))
		publisher_request_free(
		    rd_list_item(p->busy.next, struct publisher_request, link));
	while ((r = p->spare) != NULL) {
		p->spare = r->next;
		free(r);
	}
	rd_publisher_forget(p);
	rd_map_fini(&p->known);
	rd_buf_fini(&p->key);
	rd_buf_fini(&p->beside);
	rd_buf_fini(&p->index);
	rd_trim_fini(&p->trim);
	free(p->words);
	free(p->prefix);
	free(p);
}
