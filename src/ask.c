/* SPDX-License-Identifier: MIT */
/*
 * ask.c -- Redis for a program that has nothing else to do.
 *
 * Everything below is made of callbacks, which is right for a server and
 * tedious for a verb of the command line that asks five questions in a row.
 * Here the loop runs inside the question, until it is answered.  The reply is
 * copied, because its original ends with the callback.
 *
 * The answer to a question that was given up may still come, and must not be
 * taken for that of the next one: answers come in order, so they are counted.
 */
#include "src/ask.h"
#include "src/mem.h"
#include "src/tls.h"

#include <stdlib.h>
#include <sys/un.h>

struct rd_ask {
	struct rd_loop *loop;   /* owned */
	struct rd_redis *link;  /* owned */
	struct rd_uri uri;      /* owned */
	struct rd_tls *tls;     /* owned; NULL where the uri has none */
	struct rd_buf why;      /* why the link is down */
	struct rd_reply *reply; /* owned: the latest answer, or NULL */
	uint64_t timeout_ms;    /* for each question */
	bool up;                /* the link has come up */
	bool tried;             /* ... or has failed, and will go on failing */
	unsigned late;          /* answers to come that nobody waits for */
	bool answered;          /* the present question is, with: */
	int err;                /* RD_OK, RD_EREDIS or RD_EUNKNOWN */
};

static void link_up(void *arg)
{
	struct rd_ask *ask = arg;

	ask->up = ask->tried = true;
}

static void link_down(void *arg, const char *why)
{
	struct rd_ask *ask = arg;

	ask->up = false;
	/* Only a server that is starting is worth waiting for. */
	ask->tried = strstr(why, "LOADING") == NULL;
	rd_buf_clear(&ask->why);
	rd_buf_adds(&ask->why, why);
}

static const struct rd_redis_ops link_ops = {link_up, link_down, NULL};

int rd_config_uri(const struct rd_config *cfg, struct rd_uri *uri_out,
		  struct rd_buf *why)
{
	size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path);

	int err;

	if (*cfg->targets != '\0') {
		err = rd_uri_parse(rd_slice_str(cfg->targets), uri_out, why);
		return err < 0 ? RD_ECONFIG : RD_OK;
	}
	if (strlen(cfg->data_dir) + sizeof("/redis.sock") > room) {
		rd_buf_addf(why,
			    "data-dir %s is too long: the path of the socket "
			    "in it may have %zu bytes",
			    cfg->data_dir, room - 1);
		return RD_ECONFIG;
	}
	*uri_out = (struct rd_uri){.port = 6379};
	uri_out->path = rd_asprintf("%s/redis.sock", cfg->data_dir);
	return RD_OK;
}

int rd_ask_open(const struct rd_config *cfg, uint64_t timeout_ms,
		struct rd_ask **ask_out, struct rd_buf *why)
{
	struct rd_ask *ask = rd_new(struct rd_ask);
	int err = rd_config_uri(cfg, &ask->uri, why);

	if (err < 0)
		goto fail;
	if (ask->uri.tls &&
	    (err = rd_tls_client(cfg->redis_ca, &ask->tls, why)) < 0)
		goto fail;
	ask->timeout_ms = timeout_ms;
	ask->loop = rd_loop_new();
	ask->link = rd_redis_open(ask->loop, &ask->uri, ask->tls,
				  "redistribute", &link_ops, ask);
	if (rd_ask_wait(ask, &ask->tried, timeout_ms) < 0 || !ask->up) {
		rd_buf_adds(why, "Redis at ");
		rd_uri_show(&ask->uri, why);
		rd_buf_addf(why, " cannot be reached: %s",
			    ask->why.len > 0 ? rd_buf_text(&ask->why)
					     : rd_strerror(RD_ETIMEOUT));
		err = RD_ECONN;
		goto fail;
	}
	*ask_out = ask;
	return RD_OK;
fail:
	rd_ask_close(&ask);
	return err;
}

void rd_ask_close(struct rd_ask **ask_ptr)
{
	struct rd_ask *ask = *ask_ptr;

	if (ask == NULL)
		return;
	rd_redis_close(&ask->link);
	rd_loop_free(&ask->loop);
	rd_tls_free(&ask->tls);
	rd_uri_fini(&ask->uri);
	rd_buf_fini(&ask->why);
	free(ask->reply);
	free(ask);
	*ask_ptr = NULL;
}

struct rd_loop *rd_ask_loop(struct rd_ask *ask)
{
	return ask->loop;
}

struct rd_redis *rd_ask_link(struct rd_ask *ask)
{
	return ask->link;
}

static void take_answer(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_ask *ask = arg;

	if (ask->late > 0) {
		ask->late--;
		return;
	}
	ask->answered = true;
	ask->err = err;
	if (reply != NULL)
		ask->reply = rd_reply_copy(reply);
}

/* Before a question: forgets the last answer, waits until one can be sent. */
static int prepare(struct rd_ask *ask, const struct rd_reply **reply_out)
{
	free(ask->reply);
	ask->reply = NULL;
	*reply_out = NULL;
	ask->answered = false;
	if (rd_ask_wait(ask, &ask->up, ask->timeout_ms) != RD_OK)
		return RD_ECONN;
	return RD_OK;
}

/* After it: err is that of sending. */
static int await(struct rd_ask *ask, int err, const struct rd_reply **reply_out)
{
	if (err < 0)
		return err;
	err = rd_ask_wait(ask, &ask->answered, ask->timeout_ms);
	if (err < 0) {
		ask->late++;
		return err;
	}
	*reply_out = ask->reply;
	return ask->err;
}

int rd_ask(struct rd_ask *ask, const struct rd_reply **reply_out,
	   const char *fmt, ...)
{
	int err = prepare(ask, reply_out);
	va_list ap;

	if (err == RD_OK) {
		va_start(ap, fmt);
		err = rd_redis_vcall(ask->link, take_answer, ask, fmt, ap);
		va_end(ap);
	}
	return await(ask, err, reply_out);
}

int rd_ask_words(struct rd_ask *ask, const struct rd_reply **reply_out,
		 const struct rd_slice *argv, size_t argc)
{
	int err = prepare(ask, reply_out);

	if (err == RD_OK)
		err = rd_redis_send(ask->link, take_answer, ask, argv, argc);
	return await(ask, err, reply_out);
}

int rd_ask_script(struct rd_ask *ask, const struct rd_reply **reply_out,
		  enum rd_script script, const struct rd_slice *keys,
		  size_t key_count, const struct rd_slice *args,
		  size_t arg_count)
{
	int err = prepare(ask, reply_out);

	if (err == RD_OK)
		err = rd_script_call(ask->link, script, keys, key_count, args,
				     arg_count, take_answer, ask);
	return await(ask, err, reply_out);
}

static void set_flag(void *arg)
{
	*(bool *)arg = true;
}

int rd_ask_wait(struct rd_ask *ask, const bool *done, uint64_t timeout_ms)
{
	struct rd_timer timer;
	bool over = false;

	rd_timer_init(&timer, ask->loop, set_flag, &over);
	rd_timer_start(&timer, timeout_ms);
	while (!*done && !over && rd_loop_turn(ask->loop))
		;
	rd_timer_stop(&timer);
	return *done ? RD_OK : RD_ETIMEOUT;
}
