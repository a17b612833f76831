/* SPDX-License-Identifier: MIT */
/*
 * fuzz_conn.c -- clients, handlers and publishers do anything, in any order, to
 * a gateway that lives (live.h).
 *
 * The input is a row of deeds.  Its first byte says how many bytes a client
 * writes at a time.  The low half of a deed's byte says what, the high half
 * which of three clients; what is written, published or answered follows.  So
 * connections are driven through all of their states at every cut: heads and
 * bodies, frames and halves of frames, clients that close, vanish or do not
 * read, channels that are trimmed, answers and orders of handlers that may
 * make sense.
 *
 * What a client is given is read by a parser of our own: HTTP, then frames or
 * events, and nothing behind a close.  When all have gone the gateway must
 * hold nothing of theirs.  The last deed of all, 15, gives the same bytes to
 * two clients, to one of them in pieces: both must be answered alike.
 */
#include "gateway/events_impl.h"
#include "gateway/ws.h"
#include "src/json.h"
#include "src/mem.h"
#include "src/pack.h"
#include "src/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/live.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS    3
#define DEEDS_MAX  48
#define FIELDS_MAX 12
#define PLAIN_MAX  (4 << 20) /* bytes of a message, inflated */

/* What a client says first. */
enum kind { RAW, JSON, MSGPACK, PLAIN, EVENTS, KINDS };
static const char *const heads[KINDS] = {
    [JSON] = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
	     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	     "Sec-WebSocket-Protocol: redistribute.json\r\n\r\n",
    [MSGPACK] = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"Sec-WebSocket-Extensions: permessage-deflate\r\n"
		"Sec-WebSocket-Protocol: redistribute.msgpack\r\n\r\n",
    [PLAIN] = "GET /ws/c?offset=-2 HTTP/1.1\r\nHost: localhost\r\n"
	      "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	      "Sec-WebSocket-Version: 13\r\n"
	      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    [EVENTS] = "GET /sse/c?offset=-2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
};

struct client {
	int fd; /* -1: it is not connected */
	enum kind kind;
	bool deaf;        /* it does not read */
	bool ended;       /* the gateway has closed */
	struct rd_buf in; /* all that came */
};

static size_t step = SIZE_MAX; /* bytes that a client writes at a time */

/* ---- what a client is given ---- */

/* What both clients of the last deed must have alike. */
struct outcome {
	int status; /* of HTTP; 0: none came */
	int code;   /* of a close frame; -1: none came, 0: without a code */
};

static bool has_word(struct rd_slice head, const char *word)
{
	return memmem(head.data, head.len, word, strlen(word)) != NULL;
}

static void check_text(enum kind kind, unsigned opcode, struct rd_slice s)
{
	assert(opcode != 1 || rd_utf8_valid(s));
	/* JSON here has no NUL in a name, which fields may hold. */
	if (kind == JSON)
		assert(opcode == 1 &&
		       (rd_json_valid(s) || has_word(s, "\\u0000")));
	if (kind == MSGPACK)
		assert(opcode == 2 && rd_pack_valid(s));
}

static void check_message(enum kind kind, unsigned first, struct rd_slice s)
{
	static struct rd_inflate *inflate; /* for all, for ever */
	struct rd_slice plain;
	const char *why;
	int err;

	if (!(first & 0x40)) {
		check_text(kind, first & 15, s);
		return;
	}
	if (inflate == NULL)
		inflate = rd_inflate_new(PLAIN_MAX);
	err = rd_inflate_message(inflate, s, (first & 15) == 1, &plain, &why);
	assert(err == RD_OK && plain.len > s.len);
	check_text(kind, first & 15, plain);
}

static int check_close(struct rd_slice s)
{
	int code;

	if (s.len == 0)
		return 0;
	assert(s.len >= 2);
	code = (unsigned char)s.data[0] << 8 | (unsigned char)s.data[1];
	assert(rd_ws_is_close_code((unsigned)code));
	(void)fuzz_take(&s, 2);
	assert(rd_utf8_valid(s));
	return code;
}

/* The payload of the next frame; false where it is not all here. */
static bool next_frame(struct rd_slice *in, unsigned *first,
		       struct rd_slice *payload)
{
	struct rd_slice rest = *in;
	uint64_t len;
	unsigned bytes = 0;

	*first = fuzz_byte(&rest);
	len = fuzz_byte(&rest);
	assert(len < 128); /* a server does not mask */
	if (len >= 126)
		bytes = len == 126 ? 2 : 8;
	if (rest.len < bytes || in->len < 2)
		return false;
	if (bytes > 0)
		for (len = 0; bytes > 0; bytes--)
			len = len << 8 | fuzz_byte(&rest);
	if (rest.len < len)
		return false;
	*payload = fuzz_take(&rest, (size_t)len);
	*in = rest;
	return true;
}

/* The code of the close, or -1. */
static int check_frames(const struct client *c, struct rd_slice in,
			bool compress)
{
	struct rd_slice payload;
	unsigned first;
	int code = -1;

	while (next_frame(&in, &first, &payload)) {
		unsigned opcode = first & 15;

		assert(code < 0); /* nothing follows a close */
		assert((first & 0x80) && !(first & 0x30));
		assert(!(first & 0x40) || (compress && opcode <= 2));
		assert(opcode < 8 || payload.len < 126);
		if (opcode == 8)
			code = check_close(payload);
		else if (opcode == 1 || opcode == 2)
			check_message(c->kind, first, payload);
		else
			assert(opcode == 9 || opcode == 10);
	}
	assert(code < 0 || in.len == 0);
	return code;
}

static void check_events(struct rd_slice in)
{
	while (in.len > 0 && memchr(in.data, '\n', in.len) != NULL) {
		struct rd_slice line = fuzz_until(&in, '\n');
		struct rd_slice name = fuzz_until(&line, ':');

		assert(name.len == 0 || rd_slice_is(name, "data") ||
		       rd_slice_is(name, "event") || rd_slice_is(name, "id") ||
		       rd_slice_is(name, "retry"));
		assert(rd_utf8_valid(line));
	}
}

static struct outcome check(const struct client *c)
{
	struct outcome o = {0, -1};
	struct rd_slice in = rd_buf_slice(&c->in), head;
	const char *end = memmem(in.data, in.len, "\r\n\r\n", 4);

	if (end == NULL) {
		assert(!c->ended || in.len == 0 || c->deaf);
		return o;
	}
	head = fuzz_take(&in, (size_t)(end - in.data) + 4);
	assert(head.len > 12 && !memcmp(head.data, "HTTP/1.1 ", 9));
	o.status = atoi(head.data + 9);
	assert(o.status >= 101 && o.status <= 599);
	if (o.status == 101)
		o.code =
		    check_frames(c, in, has_word(head, "permessage-deflate"));
	else if (has_word(head, "text/event-stream"))
		check_events(in);
	return o;
}

/* ---- what a client does ---- */

static void hear(struct client *c)
{
	ssize_t n;

	if (c->fd < 0 || c->deaf)
		return;
	while ((n = read(c->fd, rd_buf_room(&c->in, 4096), 4096)) > 0)
		rd_buf_grew(&c->in, (size_t)n);
	if (n == 0 || errno != EAGAIN)
		c->ended = true;
}

static void settle(struct live *live, struct client *clients, int count)
{
	live_settle(live);
	for (int i = 0; i < count; i++)
		hear(&clients[i]);
}

/* What the gateway does not take is lost. */
static void say(struct live *live, struct client *c, struct rd_slice s)
{
	while (s.len > 0) {
		struct rd_slice piece = fuzz_take(&s, step);

		if (write(c->fd, piece.data, piece.len) != (ssize_t)piece.len)
			return;
		if (s.len > 0)
			event_base_loop(rd_loop_base(live->loop),
					EVLOOP_NONBLOCK);
	}
}

/* A frame with a mask, whatever its first byte is. */
static void say_frame(struct live *live, struct client *c, unsigned first,
		      struct rd_slice payload)
{
	static const char mask[4] = {1, 2, 3, 4};
	struct rd_buf out = RD_BUF_INIT;

	rd_buf_addc(&out, (char)first);
	if (payload.len < 126) {
		rd_buf_addc(&out, (char)(0x80 | payload.len));
	} else {
		rd_buf_addc(&out, (char)0xfe);
		rd_buf_addc(&out, (char)(payload.len >> 8));
		rd_buf_addc(&out, (char)payload.len);
	}
	rd_buf_add(&out, mask, sizeof(mask));
	for (size_t i = 0; i < payload.len; i++)
		rd_buf_addc(&out, payload.data[i] ^ mask[i % 4]);
	say(live, c, rd_buf_slice(&out));
	rd_buf_fini(&out);
}

static void leave(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	(void)check(c);
	rd_buf_fini(&c->in);
	*c = (struct client){.fd = -1};
}

/* A client that is there, from a head of this kind on. */
static void come(struct live *live, struct client *c, enum kind kind)
{
	leave(c);
	c->fd = live_connect(live);
	c->kind = kind;
	if (kind != RAW)
		say(live, c, rd_slice_str(heads[kind]));
}

/* ---- what others do ---- */

/* Adds an entry of what follows in the input: names and values. "?" is the
 * last question's number, "/" the socket that it was about. */
static void add_entry(struct live *live, const char *key, const char *op,
		      struct rd_slice *in)
{
	const char *argv[5 + 2 * FIELDS_MAX] = {"XADD", key, "*", "op", op};
	size_t lens[5 + 2 * FIELDS_MAX], argc = op != NULL ? 5 : 3;
	char ask[256], socket[256];
	unsigned n = fuzz_byte(in) % FIELDS_MAX;

	for (size_t i = 0; i < argc; i++)
		lens[i] = strlen(argv[i]);
	live_asked(live, ask, socket);
	for (n += argc == 3 && n == 0; n > 0; n--)
		for (int i = 0; i < 2; i++) {
			struct rd_slice s = fuzz_piece(in);

			if (rd_slice_is(s, "?"))
				s = rd_slice_str(ask);
			else if (rd_slice_is(s, "/"))
				s = rd_slice_str(socket);
			argv[argc] = s.data;
			lens[argc++] = s.len;
		}
	freeReplyObject(
	    redisCommandArgv(live->redis.admin, (int)argc, argv, lens));
}

static void post(struct live *live, struct rd_slice *in)
{
	static const char *const ops[] = {
	    "answer",     "direct", "subscribe", "unsubscribe",
	    "disconnect", "open",   "else",      NULL};
	char *key = rd_asprintf("rd:gw:%s", live->gateway->events->name);

	add_entry(live, key, ops[fuzz_byte(in) % 8], in);
	free(key);
}

static const char *const channels[] = {"c", "ask", "new", "end"};

static void spoil(struct live *live, unsigned how)
{
	const char *channel = channels[how & 3];

	if (how & 4)
		test_do(&live->redis, "DEL rd:ch:%s", channel);
	else if (how & 8)
		freeReplyObject(redisCommand(
		    live->redis.admin, "XTRIM rd:ch:%s MAXLEN 1", channel));
	else
		freeReplyObject(redisCommand(
		    live->redis.admin, "XSETID rd:ch:%s %u-1", channel, how));
}

/* ---- the deeds ---- */

static const char *const requests[] = {
    "{\"id\":1,\"do\":\"subscribe\",\"channel\":\"c\",\"offset\":\"-3\"}",
    "{\"id\":2,\"do\":\"publish\",\"channel\":\"c\",\"data\":{\"n\":1}}",
    "{\"id\":3,\"do\":\"history\",\"channel\":\"c\"}",
    "{\"id\":4,\"do\":\"unsubscribe\",\"channel\":\"c\"}",
    "{\"id\":5,\"do\":\"subscribe\",\"channel\":\"ask\",\"offset\":\"0\"}",
    "{\"id\":6,\"do\":\"call\",\"channel\":\"ask\",\"data\":[1]}",
    "{\"id\":7,\"do\":\"publish\",\"channel\":\"ask\",\"data\":\"x\"}",
    "{\"id\":8,\"do\":\"ping\"}",
};

/* In the codec of the client. */
static void request(struct live *live, struct client *c, struct rd_slice json)
{
	struct rd_buf pack = RD_BUF_INIT;

	if (c->kind == MSGPACK && rd_json_to_pack(json, &pack) == RD_OK)
		say_frame(live, c, 0x82, rd_buf_slice(&pack));
	else
		say_frame(live, c, 0x81, json);
	rd_buf_fini(&pack);
}

/* What one client does. */
static void act(struct live *live, struct client *c, unsigned what,
		struct rd_slice *in)
{
	unsigned first;

	if (what == 0) {
		come(live, c, (enum kind)(fuzz_byte(in) % KINDS));
		return;
	}
	if (c->fd < 0)
		return;
	switch (what) {
	case 1:
		say(live, c, fuzz_piece(in));
		break;
	case 2:
		first = fuzz_byte(in);
		say_frame(live, c, first, fuzz_piece(in));
		break;
	case 3:
		request(live, c, rd_slice_str(requests[fuzz_byte(in) % 8]));
		break;
	case 4:
		request(live, c, fuzz_piece(in));
		break;
	case 5:
		shutdown(c->fd, SHUT_WR);
		break;
	case 6:
		leave(c);
		break;
	case 7:
		c->deaf = !c->deaf;
		break;
	default:
		break;
	}
}

/* The same bytes for two, to one of them in pieces. */
static void compare(struct live *live, struct rd_slice *in)
{
	enum kind kind = (enum kind)(fuzz_byte(in) % KINDS);
	struct client two[2] = {{.fd = -1}, {.fd = -1}};
	struct outcome outcomes[2];
	size_t pieces = 1 + fuzz_byte(in) % 16;

	for (int i = 0; i < 2; i++) {
		step = i == 0 ? SIZE_MAX : pieces;
		come(live, &two[i], kind);
		say(live, &two[i], *in);
		settle(live, &two[i], 1);
		settle(live, &two[i], 1);
		outcomes[i] = check(&two[i]);
		leave(&two[i]);
		live_settle(live);
	}
	assert(outcomes[0].status == outcomes[1].status);
	assert(outcomes[0].code == outcomes[1].code);
}

static void run(struct live *live, struct client *clients, struct rd_slice in)
{
	unsigned deed, what = 0, who;

	deed = fuzz_byte(&in);
	step = deed == 0 ? SIZE_MAX : deed;
	for (int n = 0; n < DEEDS_MAX && in.len > 0; n++) {
		deed = fuzz_byte(&in);
		what = deed & 15;
		who = (deed >> 4) % CLIENTS;
		if (what < 8)
			act(live, &clients[who], what, &in);
		else if (what == 8)
			post(live, &in);
		else if (what == 9)
			add_entry(live,
				  (const char *[]){"rd:ch:c", "rd:ch:ask",
						   "rd:ch:new",
						   "rd:ch:end"}[who],
				  NULL, &in);
		else if (what == 10)
			spoil(live, fuzz_byte(&in));
		else if (what < 15)
			settle(live, clients, CLIENTS);
		else
			break;
	}
	settle(live, clients, CLIENTS);
	if (what == 15 && in.len > 0)
		compare(live, &in);
}

static bool is_empty(void *arg)
{
	const struct rd_gateway *g = arg;

	return rd_conns_count(g->conns) == 0 &&
	       rd_feeds_subscriptions(g->feeds) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct client clients[CLIENTS] = {{.fd = -1}, {.fd = -1}, {.fd = -1}};
	struct live *live = live_start();
	struct rd_gateway *g = live->gateway;
	static unsigned runs;

	/* Names of channels come to very many. */
	if (++runs % 4096 == 0)
		test_do(&live->redis, "FLUSHALL");
	test_do(&live->redis,
		"DEL rd:ch:c rd:ch:ask rd:ch:new rd:ch:end rd:ch:events");
	live_settle(live);
	run(live, clients, fuzz_input(data, len));
	for (int i = 0; i < CLIENTS; i++)
		leave(&clients[i]);
	live_until(live, is_empty, g);
	live_settle(live);
	assert(rd_conns_waiting(g->conns) == 0);
	assert(rd_conns_held(g->conns) == 0);
	assert(rd_redis_is_up(g->publish) && rd_redis_is_up(g->pages));
	return 0;
}
