/* SPDX-License-Identifier: MIT */
/*
 * team.c -- what the members of a team must agree on; see team.h.
 *
 * As in meta.c one script reads what is there, or writes what we bring.  What
 * is there may have been written by anybody, so it is shown without its
 * control characters, and no more of it than a sentence can hold.
 *
 * Not here: which channels are paused (fields of the same hash; a worker reads
 * them for itself).
 */
#include "src/team.h"
#include "src/clock.h"
#include "src/glob.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN 10 /* names in a sentence */

struct request {
	rd_team_fn *fn; /* borrowed */
	void *arg;
	const struct rd_config *cfg; /* borrowed */
	struct rd_buf consume;       /* as it goes to Redis */
};

static const char *mode_of(const struct rd_config *cfg)
{
	return cfg->ordered ? "ordered" : "shared";
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The list as Redis holds it: sorted, each name once, one a line. */
static void add_sorted(struct rd_buf *out, const struct rd_strings *list)
{
	size_t n = (size_t)list->count;
	char **sorted = rd_new_array(char *, n + 1);

	for (size_t i = 0; i < n; i++)
		sorted[i] = list->items[i];
	qsort(sorted, n, sizeof(*sorted), compare);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && !strcmp(sorted[i], sorted[i - 1]))
			continue;
		if (out->len > 0)
			rd_buf_addc(out, '\n');
		rd_buf_adds(out, sorted[i]);
	}
	free(sorted);
}

/* Appends text of whatever origin. */
static void add_clean(struct rd_buf *out, struct rd_slice text)
{
	size_t len = text.len > RD_CHANNEL_MAX ? RD_CHANNEL_MAX : text.len;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		rd_buf_addc(out, c < 0x20 || c == 0x7f ? '?' : text.data[i]);
	}
}

bool rd_team_next(struct rd_slice *names, struct rd_slice *name_out)
{
	const char *end;
	size_t len = names->len;

	if (len == 0)
		return false;
	end = memchr(names->data, '\n', len);
	if (end != NULL)
		len = (size_t)(end - names->data);
	*name_out = (struct rd_slice){names->data, len};
	len += end != NULL;
	*names = (struct rd_slice){names->data + len, names->len - len};
	return true;
}

bool rd_team_consumes(struct rd_slice list, struct rd_slice channel)
{
	struct rd_slice item;

	while (rd_team_next(&list, &item))
		if (rd_glob_is_pattern(item) ? rd_glob_match(item, channel)
					     : rd_slice_eq(item, channel))
			return true;
	return false;
}

/* Appends "a, b and 7 more" for names that stand one a line; their number. */
static size_t add_names(struct rd_buf *out, struct rd_slice names)
{
	struct rd_slice name;
	size_t count = 0;

	while (rd_team_next(&names, &name))
		if (count++ < SHOWN) {
			rd_buf_adds(out, count > 1 ? ", " : "");
			add_clean(out, name);
		}
	if (count > SHOWN)
		rd_buf_addf(out, " and %zu more", count - SHOWN);
	return count;
}

/* "a, c", with the mode where that differs, too; the number of names. */
static size_t add_ours(struct rd_buf *out, const struct request *r,
		       struct rd_slice other_mode)
{
	size_t count = add_names(out, rd_buf_slice(&r->consume));

	if (!rd_slice_is(other_mode, mode_of(r->cfg)))
		rd_buf_addf(out, " (%s)", mode_of(r->cfg));
	return count;
}

static void log_replaced(const struct request *r, struct rd_slice was,
			 struct rd_slice was_mode)
{
	struct rd_buf old = RD_BUF_INIT, new = RD_BUF_INIT;

	add_names(&old, was);
	add_names(&new, rd_buf_slice(&r->consume));
	rd_log(RD_LOG_WARN, "team.replaced",
	       "team=%s was=%s was_mode=%.*s is=%s is_mode=%s", r->cfg->team,
	       rd_buf_text(&old), RD_SLICE_ARG(was_mode), rd_buf_text(&new),
	       mode_of(r->cfg));
	rd_buf_fini(&old);
	rd_buf_fini(&new);
}

/* The script's answer, as an error and a sentence. */
static int judge(const struct request *r, const struct rd_reply *reply,
		 struct rd_buf *why)
{
	struct rd_slice outcome = rd_reply_str(rd_reply_at(reply, 0));
	struct rd_slice was = rd_reply_str(rd_reply_at(reply, 1));
	struct rd_slice was_mode = rd_reply_str(rd_reply_at(reply, 2));
	size_t count;

	rd_buf_addf(why, "team %s", r->cfg->team);
	if (r->consume.len == 0) {
		rd_buf_adds(why, " is given nothing to consume here");
		return RD_OK;
	}
	if (rd_slice_is(outcome, "agreed") || rd_slice_is(outcome, "new")) {
		rd_buf_adds(why, rd_slice_is(outcome, "new")
				     ? " is new, and consumes "
				     : " consumes ");
		add_ours(why, r, (struct rd_slice){NULL, 0});
		return RD_OK;
	}
	rd_buf_adds(why, " consumes ");
	add_names(why, was);
	rd_buf_adds(why, " (");
	add_clean(why, was_mode.len > 0 ? was_mode : rd_slice_str("no mode"));
	rd_buf_adds(why, ") in Redis, ");
	if (r->cfg->replace_team) {
		if (rd_slice_is(outcome, "replaced"))
			log_replaced(r, was, was_mode);
		rd_buf_adds(why, "which is replaced by ");
		add_ours(why, r, was_mode);
		return RD_OK;
	}
	rd_buf_adds(why, "but ");
	count = add_ours(why, r, was_mode);
	rd_buf_addf(why,
		    " %s configured here; start with --replace-team to change "
		    "it",
		    count == 1 ? "is" : "are");
	return RD_ECONFIG;
}

static void request_free(void *arg)
{
	struct request *r = arg;

	rd_buf_fini(&r->consume);
	free(r);
}

static void answered(void *arg, int err, const struct rd_reply *reply)
{
	struct request *r = arg;
	struct rd_buf why = RD_BUF_INIT;

	if (err == RD_OK)
		err = judge(r, reply, &why);
	else if (err == RD_EREDIS)
		rd_buf_addslice(&why, reply->str);
	else
		rd_buf_adds(&why, rd_strerror(err));
	r->fn(r->arg, err, rd_buf_text(&why));
	rd_buf_fini(&why);
	request_free(r);
}

static int call(struct rd_redis *link, const struct rd_config *cfg,
		const char *verb, rd_team_fn *fn, void *arg)
{
	struct request *r = rd_new(struct request);
	struct rd_buf key = RD_BUF_INIT;
	struct rd_slice keys[1], args[3];
	int err;

	*r = (struct request){.fn = fn, .arg = arg, .cfg = cfg};
	add_sorted(&r->consume, &cfg->consume);
	rd_key_named(&key, cfg->prefix, "conf", rd_slice_str(cfg->team));
	keys[0] = rd_buf_slice(&key);
	args[0] = rd_buf_slice(&r->consume);
	args[1] = rd_slice_str(mode_of(cfg));
	args[2] = rd_slice_str(verb);
	err = rd_script_call_owned(link, RD_SCRIPT_CONF, keys, 1, args, 3,
				   answered, r, request_free);
	if (err != RD_OK)
		request_free(r);
	rd_buf_fini(&key);
	return err;
}

/* Before it says what it consumes, so that whoever reads the list of teams
 * after that knows it (holders.c).  Beats go on from there. */
static int enter(struct rd_redis *link, const struct rd_config *cfg)
{
	struct rd_buf key = RD_BUF_INIT;
	char now[24];
	int err;

	snprintf(now, sizeof(now), "%" PRIu64, rd_clock_wall_ms());
	rd_key_global(&key, cfg->prefix, "teams");
	err = rd_redis_call(link, NULL, NULL, "ZADD %s NX %s %s",
			    rd_buf_text(&key), now, cfg->team);
	rd_buf_fini(&key);
	return err;
}

int rd_team_join(struct rd_redis *link, const struct rd_config *cfg,
		 rd_team_fn *fn, void *arg)
{
	int err = cfg->consume.count == 0 ? RD_OK : enter(link, cfg);

	if (err != RD_OK)
		return err;
	return call(link, cfg, cfg->replace_team ? "replace" : "join", fn, arg);
}

int rd_team_ask(struct rd_redis *link, const struct rd_config *cfg,
		rd_team_fn *fn, void *arg)
{
	return call(link, cfg, "ask", fn, arg);
}
