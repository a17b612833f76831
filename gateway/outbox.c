/* SPDX-License-Identifier: MIT */
/*
 * outbox.c -- what one client publishes, on its way into Redis; see outbox.h.
 *
 * Where a handler decides, or Redis is asked whether the channel is new, the
 * messages of one channel stand in a line.  Handlers may answer in any order;
 * whoever is answered waits until all before it have been, and then goes to
 * Redis, or back to its client.  A line lives as long as somebody stands in it,
 * also without its client.
 *
 * Whether a channel is new must be known before anything is stored.  What the
 * publisher knows costs nothing; for the first message of a channel to come by
 * this gateway it is one question to Redis.
 */
#include "gateway/outbox.h"
#include "src/clock.h"
#include "src/mem.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 1000
#define BYTES_MAX (1 << 20)

/* The messages of one client to one channel that wait for a decision. */
struct line {
	struct rd_map_node node;        /* of the outbox's lines, by channel */
	struct rd_outbox *outbox;       /* borrowed; NULL once it has ended */
	struct rd_publisher *publisher; /* borrowed */
	struct rd_quota *quota;         /* borrowed; NULL: no limit */
	struct rd_list parcels;         /* in the order in which they came */
	struct rd_buf channel;          /* owned */
};

struct parcel {
	struct rd_list link;      /* on the outbox's list */
	struct rd_outbox *outbox; /* borrowed; NULL once it has ended */
	uint64_t tag;
	size_t bytes;
	/* Of one that stands in a line. */
	struct rd_list place;        /* there */
	struct line *line;           /* borrowed */
	struct rd_ask *ask;          /* under way; NULL: answered */
	bool finding;                /* Redis is asked for the channel */
	bool may_open;               /* it may make a new channel */
	enum rd_fault fault;         /* of the answer */
	uint64_t after_ms;           /* of a fault: when to try again */
	enum rd_encoding encoding;   /* of payload */
	bool typed;                  /* it has a type */
	struct rd_buf payload, type; /* owned */
	char *from;                  /* owned: its publisher, or NULL */
	unsigned char address[RD_ADDRESS_KEY]; /* the same */
	struct rd_buf why;                     /* owned; of the fault */
};

void rd_outbox_init(struct rd_outbox *o, struct rd_publisher *publisher,
		    struct rd_socket *socket, const struct rd_config *cfg,
		    rd_outbox_fn *fn, void *arg)
{
	*o = (struct rd_outbox){.publisher = publisher,
				.socket = socket,
				.cfg = cfg,
				.fn = fn,
				.arg = arg};
	rd_list_init(&o->pending);
	rd_map_init(&o->lines);
}

void rd_outbox_fini(struct rd_outbox *o)
{
	struct rd_map_node *node;
	struct rd_list *l;

	while ((l = rd_list_shift(&o->pending)) != NULL)
		rd_list_item(l, struct parcel, link)->outbox = NULL;
	while ((node = rd_map_next(&o->lines, NULL)) != NULL) {
		rd_map_item(node, struct line, node)->outbox = NULL;
		rd_map_remove(&o->lines, node);
	}
	rd_map_fini(&o->lines);
	free(o->paces);
	o->paces = NULL;
}

bool rd_outbox_full(const struct rd_outbox *o)
{
	return o->count >= COUNT_MAX || o->bytes >= BYTES_MAX ||
	       rd_socket_is_full(o->socket);
}

/* ---- how fast ---- */

static struct rd_pace pace_of_all(const struct rd_outbox *o)
{
	struct rd_pace pace = {.rate = (uint64_t)o->cfg->publish_rate,
			       .burst = (uint64_t)o->cfg->publish_burst};

	if (pace.burst == 0)
		pace.burst = pace.rate;
	return pace;
}

/* The rate of a channel's rule, and its bucket; NULL where there is none. */
static struct rd_bucket *bucket_of_rule(struct rd_outbox *o,
					struct rd_slice channel,
					struct rd_pace *pace_out)
{
	const struct rd_rules *rules = rd_events_rules(o->socket->events);
	const struct rd_terms *terms = rd_rules_terms(rules, channel);

	if (terms->rate == 0)
		return NULL;
	if (o->paces == NULL)
		o->paces =
		    rd_new_array(struct rd_bucket, rd_rules_rates(rules) + 1);
	*pace_out = (struct rd_pace){terms->rate, terms->rate};
	return &o->paces[terms->place];
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t rd_outbox_owe(struct rd_outbox *o, struct rd_slice channel)
{
	uint64_t now = rd_clock_us();
	uint64_t wait = rd_bucket_owe(&o->pace, pace_of_all(o), 1, now);
	struct rd_pace pace;
	struct rd_bucket *b = bucket_of_rule(o, channel, &pace);

	return b == NULL ? wait : later(wait, rd_bucket_owe(b, pace, 1, now));
}

uint64_t rd_outbox_pace(struct rd_outbox *o, struct rd_slice channel)
{
	uint64_t now = rd_clock_us();
	uint64_t wait = rd_bucket_wait(&o->pace, pace_of_all(o), now);
	struct rd_pace pace;
	struct rd_bucket *b = bucket_of_rule(o, channel, &pace);

	if (b != NULL)
		wait = later(wait, rd_bucket_wait(b, pace, now));
	if (wait == 0)
		(void)rd_outbox_owe(o, channel);
	return wait;
}

/* ---- one message ---- */

/* What a message says of its publisher: nothing where no handler has. */
static struct rd_slice sender(const char *from)
{
	return from != NULL ? rd_slice_str(from) : (struct rd_slice){NULL, 0};
}

static struct parcel *parcel_new(struct rd_outbox *o, size_t bytes,
				 uint64_t tag)
{
	struct parcel *p = rd_new(struct parcel);

	p->outbox = o;
	p->tag = tag;
	p->bytes = bytes;
	p->fault = RD_FAULT_NONE;
	rd_list_init(&p->place);
	rd_list_init(&p->link);
	rd_list_push(&o->pending, &p->link);
	o->count++;
	o->bytes += p->bytes;
	return p;
}

static void parcel_free(struct parcel *p)
{
	if (p->outbox != NULL) {
		p->outbox->count--;
		p->outbox->bytes -= p->bytes;
		rd_list_remove(&p->link);
	}
	rd_list_remove(&p->place);
	rd_buf_fini(&p->payload);
	rd_buf_fini(&p->type);
	rd_buf_fini(&p->why);
	free(p->from);
	free(p);
}

/* Its owner hears of the end, if there still is one. */
static void parcel_finish(struct parcel *p, enum rd_fault fault,
			  struct rd_id offset, const char *why)
{
	const struct rd_outcome outcome = {fault, why, offset, p->after_ms};
	struct rd_outbox *o = p->outbox;
	uint64_t tag = p->tag;
	struct rd_buf text = p->why; /* why may stand in it */

	rd_buf_init(&p->why);
	parcel_free(p);
	if (o != NULL)
		o->fn(o->arg, tag, &outcome);
	rd_buf_fini(&text);
}

static void on_published(void *arg, int err, struct rd_id offset,
			 const char *why)
{
	if (err == RD_OK)
		parcel_finish(arg, RD_FAULT_NONE, offset, "");
	else if (err == RD_EUNKNOWN)
		parcel_finish(arg, RD_FAULT_UNKNOWN, RD_ID_ZERO,
			      "the link to Redis broke: the message may or "
			      "may not be stored");
	else
		parcel_finish(arg, RD_FAULT_UNAVAILABLE, RD_ID_ZERO, why);
}

/* ---- those that wait in a line ---- */

static struct line *line_get(struct rd_outbox *o, struct rd_slice channel)
{
	struct rd_map_node *node = rd_map_get(&o->lines, channel);
	struct line *line;

	if (node != NULL)
		return rd_map_item(node, struct line, node);
	line = rd_new(struct line);
	line->outbox = o;
	line->publisher = o->publisher;
	line->quota = rd_events_quota(o->socket->events);
	rd_list_init(&line->parcels);
	rd_buf_addslice(&line->channel, channel);
	rd_map_put(&o->lines, &line->node, rd_buf_slice(&line->channel));
	return line;
}

static void line_free_if_empty(struct line *line)
{
	if (!rd_list_empty(&line->parcels))
		return;
	if (line->outbox != NULL)
		rd_map_remove(&line->outbox->lines, &line->node);
	rd_buf_fini(&line->channel);
	free(line);
}

static void line_move(struct line *line);

/* The channel is there, or would be new. */
static void on_found(void *arg, int err)
{
	struct parcel *p = arg;
	struct rd_maker maker = {.from = p->from};

	p->finding = false;
	p->may_open = err == RD_OK;
	if (err == RD_ENOTFOUND) {
		memcpy(maker.address, p->address, RD_ADDRESS_KEY);
		p->after_ms = rd_quota_take(p->line->quota, &maker);
		p->may_open = p->after_ms == 0;
	}
	if (err == RD_ENOTFOUND && !p->may_open) {
		p->fault = RD_FAULT_RATE;
		rd_buf_adds(&p->why, "more new channels than channel-rate and "
				     "channel-quota allow");
	} else if (!p->may_open) {
		p->fault = RD_FAULT_UNAVAILABLE;
		rd_buf_adds(&p->why, "Redis does not answer");
	}
	line_move(p->line);
}

/* RD_OK where it is on its way; RD_ENOTFOUND where Redis is asked first. */
static int parcel_publish(struct parcel *p, const struct line *line)
{
	const struct rd_slice channel = rd_buf_slice(&line->channel);
	const struct rd_message msg = {
	    .encoding = p->encoding,
	    .payload = rd_buf_slice(&p->payload),
	    .type =
		p->typed ? rd_buf_slice(&p->type) : (struct rd_slice){NULL, 0},
	    .from = sender(p->from),
	};
	int err;

	if (p->may_open || line->quota == NULL)
		return rd_publisher_send(line->publisher, channel, &msg,
					 on_published, p);
	err = rd_publisher_add(line->publisher, channel, &msg, on_published, p);
	if (err != RD_ENOTFOUND)
		return err;
	err = rd_publisher_find(line->publisher, channel, on_found, p);
	p->finding = err == RD_OK;
	return p->finding ? RD_ENOTFOUND : err;
}

/* Whoever is answered and has nobody before it goes on. */
static void line_move(struct line *line)
{
	while (!rd_list_empty(&line->parcels)) {
		struct parcel *p =
		    rd_list_item(line->parcels.next, struct parcel, place);
		const char *why = rd_buf_text(&p->why);
		int err = RD_OK;

		if (p->ask != NULL || p->finding)
			break;
		if (p->fault == RD_FAULT_NONE)
			err = parcel_publish(p, line);
		if (err == RD_ENOTFOUND)
			break;
		rd_list_remove(&p->place);
		if (err != RD_OK)
			p->fault = rd_fault_of(err, &why);
		if (p->fault != RD_FAULT_NONE)
			parcel_finish(p, p->fault, RD_ID_ZERO, why);
	}
	line_free_if_empty(line);
}

/* The message as it shall be stored. */
static void parcel_keep(struct parcel *p, const struct rd_message *msg)
{
	rd_buf_clear(&p->payload);
	rd_buf_addslice(&p->payload, msg->payload);
	p->encoding = msg->encoding;
	p->typed = msg->type.data != NULL;
	rd_buf_clear(&p->type);
	if (p->typed)
		rd_buf_addslice(&p->type, msg->type);
}

static void on_answer(void *arg, const struct rd_answer *answer)
{
	struct parcel *p = arg;

	p->ask = NULL;
	p->fault = answer->fault;
	if (answer->fault != RD_FAULT_NONE)
		rd_buf_adds(&p->why, answer->why);
	else if (answer->message.encoding != RD_ENC_FIELDS)
		parcel_keep(p, &answer->message);
	line_move(p->line);
}

/* Behind all others of its channel, with all that must be known of its client
 * when that has gone. */
static void parcel_queue(struct parcel *p, struct rd_slice channel,
			 const struct rd_message *msg)
{
	const struct rd_socket *socket = p->outbox->socket;

	p->line = line_get(p->outbox, channel);
	rd_list_push(&p->line->parcels, &p->place);
	parcel_keep(p, msg);
	if (socket->from != NULL)
		p->from = rd_strdup(socket->from);
	(void)rd_conn_address_key(socket->conn, p->address);
}

static enum rd_fault send_asked(struct rd_outbox *o, struct rd_slice channel,
				const struct rd_message *msg, uint64_t tag,
				const char **why_out)
{
	const struct rd_occasion occasion = {
	    .event = RD_ON_PUBLISH, .channel = channel, .message = msg};
	struct parcel *p = parcel_new(o, msg->payload.len, tag);
	enum rd_fault fault =
	    rd_socket_put(o->socket, &occasion, on_answer, p, &p->ask, why_out);

	if (fault != RD_FAULT_NONE) {
		parcel_free(p);
		return fault;
	}
	parcel_queue(p, channel, msg);
	return RD_FAULT_NONE;
}

/* ---- all of them ---- */

/* RD_ENOTFOUND where it must wait in a line. */
static int publish_now(struct rd_outbox *o, struct rd_slice channel,
		       const struct rd_message *msg, struct parcel *p)
{
	struct rd_message signed_msg = *msg;

	signed_msg.from = sender(o->socket->from);
	if (rd_events_quota(o->socket->events) == NULL)
		return rd_publisher_send(o->publisher, channel, &signed_msg,
					 on_published, p);
	if (o->lines.count > 0 && rd_map_get(&o->lines, channel) != NULL)
		return RD_ENOTFOUND;
	return rd_publisher_add(o->publisher, channel, &signed_msg,
				on_published, p);
}

static enum rd_fault send_now(struct rd_outbox *o, struct rd_slice channel,
			      const struct rd_message *msg, uint64_t tag,
			      const char **why_out)
{
	struct parcel *p = parcel_new(o, msg->payload.len, tag);
	int err = publish_now(o, channel, msg, p);

	if (err == RD_ENOTFOUND) {
		parcel_queue(p, channel, msg);
		line_move(p->line);
	} else if (err != RD_OK) {
		parcel_free(p);
		return rd_fault_of(err, why_out);
	}
	return RD_FAULT_NONE;
}

enum rd_fault rd_outbox_send(struct rd_outbox *o, struct rd_slice channel,
			     const struct rd_message *msg, uint64_t tag,
			     const char **why_out)
{
	struct rd_events *events = o->socket->events;
	enum rd_fault fault = rd_socket_judge(o->socket, msg, why_out);

	if (fault != RD_FAULT_NONE)
		return fault;
	if (msg->payload.len >
	    rd_rules_terms(rd_events_rules(events), channel)->max_message) {
		*why_out = "the message is larger than this channel takes";
		return RD_FAULT_TOO_LARGE;
	}
	switch (rd_events_who(events, RD_DEED_PUBLISH, channel)) {
	case RD_WHO_ANYONE:
		return send_now(o, channel, msg, tag, why_out);
	case RD_WHO_HANDLER:
		return send_asked(o, channel, msg, tag, why_out);
	case RD_WHO_NOBODY:
		break;
	}
	*why_out = "nobody may publish to this channel";
	return RD_FAULT_DENIED;
}
