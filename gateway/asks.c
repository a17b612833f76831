/* SPDX-License-Identifier: MIT */
/*
 * asks.c -- questions to handlers, and what they answered; see asks.h.
 *
 * All wait equally long, so those under way stand in the order of their
 * deadlines, and one timer serves the first.
 *
 * The answer comes by another connection than Redis' word that the question
 * was stored, and may be here before it.  So a question that has ended, but
 * whose storing is not confirmed, stays among `leaving` until it is.
 *
 * Not here: the mailbox (mailbox.c), what an entry of it means (events.c).
 */
#include "gateway/asks.h"
#include "src/clock.h"
#include "src/list.h"
#include "src/map.h"
#include "src/mem.h"
#include "src/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FIELDS_MAX 16 /* names and values of an event */
#define NUMBER_MAX 24 /* bytes of a number's text */

struct rd_ask {
	struct rd_map_node node; /* by number, while it is under way */
	struct rd_list link;     /* of those under way, or leaving */
	struct rd_asks *asks;    /* borrowed */
	struct rd_asker *asker;  /* shared; while it is under way */
	rd_answer_fn *fn;        /* NULL once it has ended */
	void *arg;
	uint64_t number;
	uint64_t deadline_ms;
	bool storing;  /* its XADD is not confirmed */
	bool harmless; /* without an answer nothing has happened */
};

struct rd_asks {
	struct rd_asks_env env;
	struct rd_map map;      /* of those under way */
	struct rd_list waiting; /* the same, the oldest first */
	struct rd_list leaving; /* ended, but not confirmed */
	struct rd_timer timer;  /* for the oldest */
	uint64_t last;          /* number given */
	struct rd_ask_counters counters;
};

static void on_timer(void *arg);

struct rd_asks *rd_asks_new(const struct rd_asks_env *env)
{
	struct rd_asks *asks = rd_new(struct rd_asks);

	asks->env = *env;
	rd_map_init(&asks->map);
	rd_list_init(&asks->waiting);
	rd_list_init(&asks->leaving);
	rd_timer_init(&asks->timer, env->loop, on_timer, asks);
	return asks;
}

const struct rd_ask_counters *rd_asks_counters(const struct rd_asks *asks)
{
	return &asks->counters;
}

size_t rd_asks_count(const struct rd_asks *asks)
{
	return asks->map.count;
}

/* ---- the end of a question ---- */

static void ask_free(struct rd_ask *ask)
{
	rd_list_remove(&ask->link);
	free(ask);
}

static void ask_end(struct rd_ask *ask)
{
	ask->fn = NULL;
	rd_asker_end(ask->asker);
	rd_map_remove(&ask->asks->map, &ask->node);
	rd_list_remove(&ask->link);
	if (ask->storing)
		rd_list_push(&ask->asks->leaving, &ask->link);
	else
		ask_free(ask);
}

static void ask_finish(struct rd_ask *ask, const struct rd_answer *answer)
{
	rd_answer_fn *fn = ask->fn;
	void *arg = ask->arg;

	ask_end(ask);
	fn(arg, answer);
}

static void ask_fail(struct rd_ask *ask, enum rd_fault fault, const char *why)
{
	const struct rd_answer answer = {.fault = fault, .why = why};

	ask_finish(ask, &answer);
}

void rd_ask_cancel(struct rd_ask **ask)
{
	if (*ask != NULL)
		ask_end(*ask);
	*ask = NULL;
}

void rd_asks_free(struct rd_asks **asks_p)
{
	struct rd_asks *asks = *asks_p;

	if (asks == NULL)
		return;
	while (!rd_list_empty(&asks->waiting))
		ask_fail(rd_list_item(asks->waiting.next, struct rd_ask, link),
			 RD_FAULT_UNAVAILABLE, "the gateway ends");
	while (!rd_list_empty(&asks->leaving))
		ask_free(rd_list_item(asks->leaving.next, struct rd_ask, link));
	rd_timer_stop(&asks->timer);
	rd_map_fini(&asks->map);
	free(asks);
	*asks_p = NULL;
}

/* ---- time ---- */

static void set_timer(struct rd_asks *asks)
{
	uint64_t now = rd_clock_ms();
	struct rd_ask *first;

	if (rd_list_empty(&asks->waiting) || rd_timer_pending(&asks->timer))
		return;
	first = rd_list_item(asks->waiting.next, struct rd_ask, link);
	rd_timer_start(&asks->timer,
		       first->deadline_ms > now ? first->deadline_ms - now : 0);
}

static void on_timer(void *arg)
{
	struct rd_asks *asks = arg;
	uint64_t now = rd_clock_ms();

	while (!rd_list_empty(&asks->waiting)) {
		struct rd_ask *ask =
		    rd_list_item(asks->waiting.next, struct rd_ask, link);

		if (ask->deadline_ms > now)
			break;
		asks->counters.ask_timeouts++;
		ask_fail(ask, RD_FAULT_TIMEOUT, "no handler answered in time");
	}
	set_timer(asks);
}

/* ---- the entry ---- */

/* The fields of an event; the texts live as long as this. */
struct event_fields {
	struct rd_slice fields[FIELDS_MAX];
	size_t count;
	char socket[128], ask[NUMBER_MAX], until[NUMBER_MAX];
};

static void add_field(struct event_fields *e, const char *name,
		      struct rd_slice value)
{
	if (value.data == NULL)
		return;
	e->fields[e->count++] = rd_slice_str(name);
	e->fields[e->count++] = value;
}

static void add_text(struct event_fields *e, const char *name, const char *text)
{
	add_field(e, name, rd_slice_str(text));
}

static void event_begin(struct event_fields *e, const struct rd_asks *asks,
			const struct rd_occasion *occasion)
{
	static const char *const names[] = {
	    [RD_ON_CONNECT] = "connect",
	    [RD_ON_DISCONNECT] = "disconnect",
	    [RD_ON_SUBSCRIBE] = "subscribe",
	    [RD_ON_UNSUBSCRIBE] = "unsubscribe",
	    [RD_ON_PUBLISH] = "publish",
	    [RD_ON_CALL] = "call",
	};

	snprintf(e->socket, sizeof(e->socket), "%s/%" PRIu64, asks->env.gateway,
		 occasion->socket);
	add_text(e, "event", names[occasion->event]);
	add_text(e, "socket", e->socket);
	add_field(e, "channel", occasion->channel);
	if (occasion->from != NULL)
		add_text(e, "from", occasion->from);
}

static void event_add_ask(struct event_fields *e, uint64_t number,
			  uint64_t until_ms)
{
	snprintf(e->ask, sizeof(e->ask), "%" PRIu64, number);
	snprintf(e->until, sizeof(e->until), "%" PRIu64, until_ms);
	add_text(e, "ask", e->ask);
	add_text(e, "until", e->until);
}

static void event_add_message(struct event_fields *e,
			      const struct rd_message *msg)
{
	add_field(e, "type", msg->type);
	add_field(e, rd_encoding_field(msg->encoding), msg->payload);
}

static int event_send(struct rd_asks *asks, const struct event_fields *e,
		      rd_published_fn *fn, void *arg)
{
	const struct rd_message entry = {.encoding = RD_ENC_FIELDS,
					 .fields = e->fields,
					 .field_count = e->count};

	return rd_publisher_send(asks->env.publisher,
				 rd_slice_str(asks->env.channel), &entry, fn,
				 arg);
}

/* ---- a question ---- */

static void on_stored(void *arg, int err, struct rd_id offset, const char *why)
{
	struct rd_ask *ask = arg;

	(void)offset;
	ask->storing = false;
	if (ask->fn == NULL) {
		ask_free(ask);
		return;
	}
	if (err == RD_OK)
		return;
	ask->asks->counters.ask_failures++;
	if (err == RD_EUNKNOWN && !ask->harmless)
		ask_fail(ask, RD_FAULT_UNKNOWN,
			 "the link to Redis broke: the handler may or may not "
			 "have been asked");
	else
		ask_fail(ask, RD_FAULT_UNAVAILABLE, why);
}

static enum rd_fault ask_send(struct rd_ask *ask,
			      const struct rd_occasion *occasion,
			      const char **why_out)
{
	struct rd_asks *asks = ask->asks;
	struct event_fields e = {.count = 0};
	int err;

	event_begin(&e, asks, occasion);
	event_add_ask(&e, ask->number,
		      rd_clock_wall_ms() + asks->env.timeout_ms);
	if (occasion->message != NULL)
		event_add_message(&e, occasion->message);
	err = event_send(asks, &e, on_stored, ask);
	if (err == RD_OK)
		return RD_FAULT_NONE;
	asks->counters.ask_failures++;
	return rd_fault_of(err, why_out);
}

/*
 * Is there room for one more?  What is more important has room left when the
 * rest has none: who is there goes on, whoever shouts.
 */
static bool may_ask(struct rd_asks *asks, const struct rd_occasion *occasion,
		    const char **why_out)
{
	static const size_t percent[] = {
	    [RD_ON_CONNECT] = 100,
	    [RD_ON_SUBSCRIBE] = 90,
	    [RD_ON_PUBLISH] = 75,
	    [RD_ON_CALL] = 50,
	};
	size_t most = asks->env.max * percent[occasion->event] / 100;

	if (rd_asker_is_full(occasion->asker)) {
		asks->counters.ask_shares++;
		*why_out = "too many questions of this connection wait for "
			   "handlers";
		return false;
	}
	if (rd_asker_is_crowded(occasion->asker)) {
		asks->counters.ask_shares++;
		*why_out = "too many questions of this address wait for "
			   "handlers";
		return false;
	}
	if (asks->map.count >= (most > 0 ? most : 1)) {
		asks->counters.ask_limits++;
		*why_out = "too many questions wait for handlers";
		return false;
	}
	return true;
}

enum rd_fault rd_ask_put(struct rd_asks *asks,
			 const struct rd_occasion *occasion, rd_answer_fn *fn,
			 void *arg, struct rd_ask **ask_out,
			 const char **why_out)
{
	struct rd_ask *ask;
	enum rd_fault fault;

	if (!may_ask(asks, occasion, why_out))
		return RD_FAULT_BUSY;
	ask = rd_new(struct rd_ask);
	ask->asks = asks;
	ask->fn = fn;
	ask->arg = arg;
	ask->number = ++asks->last;
	ask->deadline_ms = rd_clock_ms() + asks->env.timeout_ms;
	ask->storing = true;
	ask->harmless = occasion->event != RD_ON_CALL;
	rd_list_init(&ask->link);
	fault = ask_send(ask, occasion, why_out);
	if (fault != RD_FAULT_NONE) {
		ask_free(ask);
		return fault;
	}
	asks->counters.asks++;
	ask->asker = occasion->asker;
	rd_asker_begin(ask->asker);
	rd_map_put(
	    &asks->map, &ask->node,
	    (struct rd_slice){(const char *)&ask->number, sizeof(ask->number)});
	rd_list_push(&asks->waiting, &ask->link);
	set_timer(asks);
	*ask_out = ask;
	return RD_FAULT_NONE;
}

static void on_told(void *arg, int err, struct rd_id offset, const char *why)
{
	struct rd_asks *asks = arg;

	(void)offset;
	(void)why;
	if (err != RD_OK)
		asks->counters.tell_failures++;
}

void rd_asks_tell(struct rd_asks *asks, const struct rd_occasion *occasion)
{
	struct event_fields e = {.count = 0};

	asks->counters.tells++;
	event_begin(&e, asks, occasion);
	if (event_send(asks, &e, on_told, asks) != RD_OK)
		asks->counters.tell_failures++;
}

void rd_asks_answer(struct rd_asks *asks, uint64_t number, bool allow,
		    const char *why, const struct rd_message *message)
{
	struct rd_map_node *node =
	    rd_map_get(&asks->map, (struct rd_slice){(const char *)&number,
						     sizeof(number)});
	const struct rd_answer answer = {.fault = RD_FAULT_NONE,
					 .message = *message};
	struct rd_ask *ask;

	if (node == NULL) {
		asks->counters.ask_strays++;
		return;
	}
	ask = rd_map_item(node, struct rd_ask, node);
	if (allow) {
		ask_finish(ask, &answer);
		return;
	}
	asks->counters.ask_refusals++;
	ask_fail(ask, RD_FAULT_DENIED, why);
}
