/* SPDX-License-Identifier: MIT */
/*
 * session_flow.c -- when a client of the wire protocol is listened to; see
 * session.h.
 *
 * Whoever asks for more than it is given is not heard for a while: its bytes
 * stay where they are, first with us, then in the kernel, then with itself.
 * So nothing of it is lost, and nothing of it grows here.  That is done while
 * too much of its own is under way, while it does not read its replies, and
 * while it asks faster than request-rate.
 *
 * Not here: what it publishes too fast, which is answered (session.c).
 */
#include "gateway/session_impl.h"
#include "gateway/toll.h"
#include "src/clock.h"

#include <stdlib.h>

#define STEP_COST 20 /* requests that a step of Redis is worth */

static const struct rd_config *config(const struct rd_session *s)
{
	return s->sessions->env.cfg;
}

/* Does it leave its replies unread? */
static bool is_behind(const struct rd_session *s)
{
	return s->owed > (size_t)config(s)->output_limit_bytes;
}

/* Is so much under way that it should wait? */
static bool is_busy(const struct rd_session *s)
{
	return rd_socket_is_full(&s->socket) ||
	       (s->desk != NULL && (rd_outbox_full(&s->desk->outbox) ||
				    rd_histories_full(&s->desk->histories)));
}

void rd_session_flow(struct rd_session *s)
{
	if (s->greeting != NULL || s->going || s->holding || is_busy(s) ||
	    is_behind(s) || rd_waiter_waits(&s->slowed))
		rd_conn_pause(s->conn);
	else
		rd_conn_resume(s->conn);
	if (s->going && s->asking == 0 &&
	    (s->desk == NULL || s->desk->outbox.count == 0))
		rd_conn_close(s->conn, 1012, "the gateway restarts");
}

/* It shall not be heard for so long, at least. */
static void slow_down(struct rd_session *s, uint64_t wait_ms, uint64_t *counter)
{
	if (wait_ms == 0)
		return;
	(*counter)++;
	if (!rd_waiter_waits(&s->slowed) ||
	    s->slowed.until_ms < rd_clock_ms() + wait_ms)
		rd_waiter_start(&s->sessions->slowed, &s->slowed, wait_ms);
}

void rd_session_charge(struct rd_session *s, uint64_t n)
{
	struct rd_pace pace = {.rate = (uint64_t)config(s)->request_rate,
			       .burst = (uint64_t)config(s)->request_rate};

	/* Who comes back subscribes to all that it had. */
	if (pace.burst < (uint64_t)config(s)->max_subscriptions)
		pace.burst = (uint64_t)config(s)->max_subscriptions;
	slow_down(s, rd_bucket_owe(&s->pace, pace, n, rd_clock_us()),
		  &s->sessions->counters.request_pauses);
}

void rd_session_give_history(struct rd_session *s, struct rd_slice frame)
{
	slow_down(s,
		  rd_bucket_owe(&s->desk->histories_pace,
				rd_toll_pace(config(s)), rd_toll_of(frame.len),
				rd_clock_us()),
		  &s->sessions->counters.history_pauses);
	rd_session_give(s, frame);
}

/* Redis has taken a step towards "the last N" for it, which is long. */
void rd_session_charge_step(void *arg, size_t bytes)
{
	struct rd_session *s = arg;

	(void)bytes;
	rd_session_charge(s, STEP_COST);
	rd_session_flow(s);
}

void rd_session_waited(struct rd_waiter *w)
{
	rd_session_flow(rd_list_item(w, struct rd_session, slowed));
}

void rd_session_give(struct rd_session *s, struct rd_slice frame)
{
	bool before = is_behind(s);

	if (rd_conn_full(s->conn))
		s->owed += frame.len;
	if (is_behind(s) && !before)
		s->sessions->counters.reply_pauses++;
	rd_conn_send(s->conn, frame);
}

void rd_session_drained(struct rd_session *s)
{
	s->owed = 0;
	s->beyond = 0;
	rd_feed_drained(&s->feed);
	rd_session_flow(s);
}

void rd_desk_free(struct rd_desk **desk_p)
{
	struct rd_desk *desk = *desk_p;

	if (desk == NULL)
		return;
	rd_outbox_fini(&desk->outbox);
	rd_histories_fini(&desk->histories);
	rd_buf_fini(&desk->held);
	rd_task_cancel(&desk->wake);
	free(desk);
	*desk_p = NULL;
}
