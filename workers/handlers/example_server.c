/* SPDX-License-Identifier: MIT */
/*
 * example_server.c -- a chat server's code, as a handler in a shared object.
 *
 *	server.on('connect', socket => {
 *	  socket.on('subscribe', (channel, offset) => {
 *	    socket.subscribe(channel, offset, messages => socket.emit(messages))
 *	  })
 *	  socket.on('publish', (channel, message) => {
 *	    // Validate / Audit messages from users, then pass them upstream!
 *	    server.publish(channel, message)
 *	  })
 *	})
 *
 * Here the gateways hold the sockets, follow channels and publish; they ask
 * this code what is allowed, and any number of workers answers:
 *
 *	redistribute start --events events --connect handler
 *		--event-cookie session
 *		--rule '* subscribe=handler publish=handler call=handler'
 *		--team server --consume events --handler ./example_server.so
 *
 * Build your own: cc -shared -fPIC $(pkg-config --cflags redistribute) -o
 * my.so my.c
 */
#include <redistribute/handler.h>

#define TEXT(literal) ((struct rd_slice){(literal), sizeof(literal) - 1})

/* server.on('connect', socket => ...): everybody is welcome, by name. */
static int on_connect(void *state, struct rd_context *ctx,
		      const struct rd_event *event)
{
	struct rd_slice session, user = TEXT("stranger");
	int err = RD_OK;

	(void)state;
	/* Who has which session is known elsewhere, as a rule. */
	if (rd_member_text(ctx, "cookies.session", &session) == RD_OK &&
	    rd_slice_is(session, "s3cret")) {
		user = TEXT("alice");
		err = rd_identify(ctx, user);
	}
	if (err == RD_OK)
		err = rd_direct(ctx, event->socket, TEXT("WELCOME"),
				RD_ENC_TEXT, user);
	return err != RD_OK ? err
			    : rd_subscribe(ctx, event->socket, TEXT("lobby"));
}

/* Of disconnect and unsubscribe: nobody waits for an answer. */
static int on_gone(void *state, struct rd_context *ctx,
		   const struct rd_event *event)
{
	(void)state;
	return rd_emit(ctx, TEXT("audit"), TEXT("GONE"), RD_ENC_TEXT,
		       event->socket);
}

/* socket.on('subscribe', ...): staff: channels are for those with a name. */
static int on_subscribe(void *state, struct rd_context *ctx,
			const struct rd_event *event)
{
	(void)state;
	/* RD_OK allows what is not refused. */
	if (event->channel.len >= 6 &&
	    !memcmp(event->channel.data, "staff:", 6) &&
	    event->from.data == NULL)
		rd_refuse(ctx, "only for people that we know");
	return RD_OK;
}

/* socket.on('publish', ...): validate, audit, pass upstream. */
static int on_publish(void *state, struct rd_context *ctx,
		      const struct rd_event *event)
{
	const struct rd_message *m = event->message;
	struct rd_slice text;
	int err;

	(void)state;
	err = rd_member_text(ctx, "shout", &text);
	if (err == RD_EFORMAT) {
		rd_refuse(ctx, "a message is a map");
		return RD_OK;
	}
	if (err == RD_OK) {
		/* What is shouted goes out as text. */
		err = rd_change(ctx, TEXT("SHOUT"), RD_ENC_TEXT, text);
		if (err != RD_OK)
			return err;
	}
	return rd_emit(ctx, TEXT("audit"), m->type, m->encoding, m->payload);
}

/* client.call(...): leave the channel, quit, or an echo. */
static int on_call(void *state, struct rd_context *ctx,
		   const struct rd_event *event)
{
	const struct rd_message *m = event->message;

	(void)state;
	if (m == NULL)
		return RD_OK;
	if (rd_slice_is(m->type, "LEAVE"))
		return rd_unsubscribe(ctx, event->socket, event->channel);
	if (rd_slice_is(m->type, "QUIT"))
		return rd_disconnect(ctx, event->socket, "as you wish");
	return rd_reply(ctx, m->encoding, m->payload);
}

const struct rd_handler redistribute_handler = {
    .abi = RD_HANDLER_ABI,
    .size = sizeof(struct rd_handler),
    .name = "example_server",
    .connect = on_connect,
    .disconnect = on_gone,
    .subscribe = on_subscribe,
    .unsubscribe = on_gone,
    .publish = on_publish,
    .call = on_call,
};
