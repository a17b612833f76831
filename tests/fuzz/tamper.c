/* SPDX-License-Identifier: MIT */
/*
 * tamper.c -- changes what Redis answers; see tamper.h.
 *
 * Replies are parsed by the reader that they are meant for, which has a fuzzer
 * of its own, and written again.  Both ends are unix sockets, and what does not
 * fit into one waits.
 */
#include "tests/fuzz/tamper.h"
#include "src/mem.h"
#include "src/reply_reader.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ITEMS_MAX 64 /* that an array is made to have, at most */

/* One connection, and its other half to Redis. */
struct link {
	struct rd_list link;
	struct tamper *tamper;
	int program, redis;
	struct rd_watch from_program, from_redis;
	struct rd_buf up, down; /* what the one and the other has to take yet */
	struct rd_reply_reader *reader;
	struct rd_task end; /* frees it */
	bool ended;
};

void fuzz_settings(struct rd_config *cfg, int argc, char **argv)
{
	char **rest = rd_new_array(char *, (size_t)argc);
	struct rd_buf why = RD_BUF_INIT;
	int count = 0, err;

	rd_config_init(cfg);
	err = rd_config_load(cfg, argc, argv, 1, rest, &count, &why);
	if (err != RD_OK)
		fprintf(stderr, "%s\n", rd_buf_text(&why));
	assert(err == RD_OK && count == 0);
	rd_buf_fini(&why);
	free(rest);
}

/* ---- replies as bytes ---- */

static void add_bulk(struct rd_buf *out, char type, struct rd_slice s)
{
	rd_buf_addf(out, "%c%zu\r\n", type, s.len);
	rd_buf_addslice(out, s);
	rd_buf_adds(out, "\r\n");
}

/* A line can hold neither of its ends. */
static void add_line(struct rd_buf *out, char type, struct rd_slice s)
{
	rd_buf_addc(out, type);
	for (size_t i = 0; i < s.len; i++)
		rd_buf_addc(out, s.data[i] == '\r' || s.data[i] == '\n'
				     ? ' '
				     : s.data[i]);
	rd_buf_adds(out, "\r\n");
}

static void add_reply(struct rd_buf *out, const struct rd_reply *r)
{
	switch (r->type) {
	case RD_REPLY_NIL:
		rd_buf_adds(out, "$-1\r\n");
		break;
	case RD_REPLY_STATUS:
		add_line(out, '+', r->str);
		break;
	case RD_REPLY_ERROR:
		add_line(out, '-', r->str);
		break;
	case RD_REPLY_INT:
		rd_buf_addf(out, ":%lld\r\n", (long long)r->integer);
		break;
	case RD_REPLY_STRING:
		add_bulk(out, '$', r->str);
		break;
	case RD_REPLY_ARRAY:
		rd_buf_addf(out, "*%zu\r\n", r->count);
		for (size_t i = 0; i < r->count; i++)
			add_reply(out, &r->items[i]);
		break;
	}
}

/* ---- what is done to them ---- */

static const char *const words[] = {
    "NOSCRIPT x", "WRONGTYPE x",
    "ERR x",      "LOADING x",
    "NOPERM x",   "NOGROUP x",
    "READONLY x", "OOM x",
    "0-0",        "18446744073709551615-18446744073709551615",
    "-1",         "18446744073709551616",
    "1-1",        "9223372036854775807",
    "",           "json",
};

/* A word that means something, or any. */
static struct rd_slice take_word(struct rd_slice *in)
{
	unsigned n = fuzz_byte(in);

	return n < 128 ? rd_slice_str(words[n % 16]) : fuzz_take(in, n & 31);
}

static void add_array(struct rd_buf *out, const struct rd_reply *r,
		      unsigned count)
{
	count %= ITEMS_MAX;
	rd_buf_addf(out, "*%u\r\n", count);
	for (unsigned i = 0; i < count; i++)
		if (r->count > 0)
			add_reply(out, &r->items[i % r->count]);
		else
			rd_buf_adds(out, ":0\r\n");
}

static void add_changed(struct rd_buf *out, const struct rd_reply *r,
			struct rd_slice *in)
{
	unsigned how = fuzz_byte(in);

	switch (how & 7) {
	case 0:
		rd_buf_adds(out, "$-1\r\n");
		break;
	case 1:
		add_line(out, '-', take_word(in));
		break;
	case 2:
		add_line(out, ':',
			 rd_slice_str((const char *[]){
			     "0", "1", "-1", "9223372036854775807",
			     "-9223372036854775808", "1000000", "2",
			     "100"}[how >> 3 & 7]));
		break;
	case 3:
	case 4:
		add_bulk(out, '$', take_word(in));
		break;
	case 5:
		add_line(out, '+', take_word(in));
		break;
	default:
		add_array(out, r, how & 8 ? how >> 4 : fuzz_byte(in));
		break;
	}
}

/* Goes down to one part of it, which is changed; the rest stays. */
static void add_spoilt(struct rd_buf *out, const struct rd_reply *r,
		       struct rd_slice *in)
{
	unsigned where = fuzz_byte(in);

	if (r->type != RD_REPLY_ARRAY || r->count == 0 || where < 64) {
		add_changed(out, r, in);
		return;
	}
	rd_buf_addf(out, "*%zu\r\n", r->count);
	for (size_t i = 0; i < r->count; i++)
		if (i == where % r->count)
			add_spoilt(out, &r->items[i], in);
		else
			add_reply(out, &r->items[i]);
}

/* False where the link ends instead. */
static bool pass_on(struct tamper *t, const struct rd_reply *r,
		    struct rd_buf *out)
{
	unsigned byte;

	if (t->pass > 0 || t->in.len == 0) {
		t->pass -= t->pass > 0;
		add_reply(out, r);
		return true;
	}
	byte = fuzz_byte(&t->in);
	if (byte < 0xc0) {
		t->pass = byte & 15;
		add_reply(out, r);
		return true;
	}
	t->bad++;
	if (byte <= 0xc1) {
		/* Half a reply, or none of its kind: nothing can follow. */
		if (byte == 0xc0)
			rd_buf_addslice(out, fuzz_piece(&t->in));
		return false;
	}
	add_spoilt(out, r, &t->in);
	return true;
}

/* ---- links ---- */

static void link_free(void *arg)
{
	struct link *l = arg;

	rd_buf_fini(&l->up);
	rd_buf_fini(&l->down);
	rd_reply_reader_free(&l->reader);
	free(l);
}

static void link_end(struct link *l)
{
	if (l->ended)
		return;
	l->ended = true;
	rd_list_remove(&l->link);
	rd_watch_stop(&l->from_program);
	rd_watch_stop(&l->from_redis);
	close(l->program);
	close(l->redis);
	rd_task_init(&l->end, link_free, l);
	rd_task_defer(&l->end, l->tamper->loop);
}

/* Writes what there is; then waits for more, or for room. */
static void flush(struct link *l, struct rd_buf *out, int fd,
		  struct rd_watch *watch)
{
	ssize_t n = out->len == 0 ? 0 : write(fd, rd_buf_data(out), out->len);

	if (n > 0)
		rd_buf_drop(out, (size_t)n);
	if (!l->ended)
		rd_watch_set(watch,
			     out->len > 0 ? EV_READ | EV_WRITE : EV_READ);
}

static ssize_t fill(struct rd_buf *in, int fd)
{
	ssize_t n = read(fd, rd_buf_room(in, 65536), 65536);

	if (n > 0)
		rd_buf_grew(in, (size_t)n);
	return n;
}

static void on_program(void *arg, short what)
{
	struct link *l = arg;

	if (what & EV_READ && fill(&l->up, l->program) == 0) {
		link_end(l);
		return;
	}
	flush(l, &l->up, l->redis, &l->from_redis);
	flush(l, &l->down, l->program, &l->from_program);
}

static void on_redis(void *arg, short what)
{
	struct link *l = arg;
	struct rd_buf got = RD_BUF_INIT;
	const struct rd_reply *reply;
	bool goes_on = true;

	if (what & EV_READ && fill(&got, l->redis) == 0)
		goes_on = false;
	rd_reply_reader_feed(l->reader, rd_buf_data(&got), got.len);
	while (goes_on && rd_reply_reader_next(l->reader, &reply) == RD_OK)
		goes_on = pass_on(l->tamper, reply, &l->down);
	rd_buf_fini(&got);
	flush(l, &l->up, l->redis, &l->from_redis);
	flush(l, &l->down, l->program, &l->from_program);
	if (!goes_on)
		link_end(l);
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	return un;
}

static void on_accept(void *arg, short what)
{
	struct tamper *t = arg;
	struct sockaddr_un un = address(t->to);
	struct link *l;
	int fd = accept4(t->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd < 0)
		return;
	l = rd_new(struct link);
	l->tamper = t;
	l->program = fd;
	l->redis = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->redis < 0 ||
	    connect(l->redis, (struct sockaddr *)&un, sizeof(un)) < 0)
		abort();
	evutil_make_socket_nonblocking(l->redis);
	l->reader = rd_reply_reader_new();
	rd_list_push(&t->links, &l->link);
	rd_watch_init(&l->from_program, t->loop, l->program, on_program, l);
	rd_watch_init(&l->from_redis, t->loop, l->redis, on_redis, l);
	rd_watch_set(&l->from_program, EV_READ);
	rd_watch_set(&l->from_redis, EV_READ);
}

void tamper_open(struct tamper *t, struct rd_loop *loop, const char *to)
{
	struct sockaddr_un un;

	*t = (struct tamper){.loop = loop, .to = to};
	snprintf(t->path, sizeof(t->path), "%s-t", to);
	rd_list_init(&t->links);
	un = address(t->path);
	t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->fd < 0 || bind(t->fd, (struct sockaddr *)&un, sizeof(un)) < 0 ||
	    listen(t->fd, 64) < 0)
		abort();
	rd_watch_init(&t->watch, loop, t->fd, on_accept, t);
	rd_watch_set(&t->watch, EV_READ);
}

void tamper_close(struct tamper *t)
{
	while (!rd_list_empty(&t->links))
		link_end(rd_list_item(t->links.next, struct link, link));
	rd_watch_stop(&t->watch);
	close(t->fd);
	unlink(t->path);
}

void tamper_by(struct tamper *t, struct rd_slice in)
{
	t->in = in;
	t->pass = 0;
	t->bad = 0;
}
