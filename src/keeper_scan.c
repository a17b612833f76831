/* SPDX-License-Identifier: MIT */
/*
 * keeper_scan.c -- the keeper finds channels that only a foreign XADD has
 * made, and those that nobody trims.
 *
 * SCAN goes round the whole data set in three quarters of `discover`, a page
 * of about a thousand keys at a time, evenly, so a new key is met in less than
 * that.  Each page is compared with what is known (ZMSCORE), and only what is
 * missing costs a script, which also looks whether it is a stream: to let SCAN
 * do that for all (TYPE) costs more than the rest together.  Of some names the
 * length is asked for, each time of others.
 *
 * Where Redis holds very many other keys a pass takes longer, because pages
 * come at most fifty times a second; that is logged.
 *
 * A prefix has no character that SCAN takes for a pattern (rd_name_valid).
 */
#include "src/clock.h"
#include "src/keeper_impl.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE         1000 /* keys that one SCAN looks at */
#define WAIT_MIN_MS  20
#define RETRY_MS     1000 /* where the link is down, or Redis refuses */
#define LENGTHS      64   /* that are asked for with a page */
#define TRIM_MS      100
#define TRIMS_MAX    256 /* channels that wait for it */
#define NODE         100 /* entries that trimming may leave above maxlen */
#define WARN_EACH_MS 60000

/* ---- trimming ---- */

static void on_trimmed(void *arg, int err, const struct rd_reply *reply)
{
	struct keeper_call *call = arg;
	struct rd_keeper *k = call->k;
	struct rd_trimmed t;

	keeper_complain(k, "trim", call->channel, err, reply);
	if (err == RD_OK) {
		rd_trim_read(&k->trim, call->channel, reply, &t);
		k->trimmed += (uint64_t)t.removed;
		if (t.removed > 0 && t.left > k->cfg->maxlen + NODE)
			keeper_scan_trim(k, call->channel);
	}
	keeper_call_free(call);
}

static void trim_next(void *arg)
{
	struct rd_keeper *k = arg;
	struct rd_list *first = rd_list_shift(&k->scan.too_long);
	struct keeper_call *call;

	if (first == NULL)
		return;
	k->scan.too_long_count--;
	call = rd_list_item(first, struct keeper_call, link);
	rd_list_push(&k->calls, &call->link);
	if (rd_trim_send(&k->trim, call->channel, on_trimmed, call) != RD_OK)
		keeper_call_free(call);
	if (k->scan.too_long_count > 0)
		rd_timer_start(&k->scan.trim, TRIM_MS);
}

void keeper_scan_trim(struct rd_keeper *k, struct rd_slice channel)
{
	struct keeper_call *call;

	if (!k->keeping || k->scan.too_long_count >= TRIMS_MAX)
		return;
	call = keeper_call_new(k, channel);
	rd_list_remove(&call->link);
	rd_list_push(&k->scan.too_long, &call->link);
	k->scan.too_long_count++;
	if (!rd_timer_pending(&k->scan.trim))
		rd_timer_start(&k->scan.trim, TRIM_MS);
}

static struct rd_slice key_of(const struct scan_name *name)
{
	const char *text = rd_buf_data(&name->k->scan.keys);

	return (struct rd_slice){text + name->at, name->len};
}

/* The channel, which is the end of its key. */
static struct rd_slice name_of(const struct scan_name *name)
{
	struct rd_slice key = key_of(name);

	return (struct rd_slice){key.data + (name->len - name->channel_len),
				 name->channel_len};
}

static void on_length(void *arg, int err, const struct rd_reply *reply)
{
	const struct scan_name *name = arg;
	struct rd_keeper *k = name->k;

	k->scan.under_way--;
	if (err == RD_OK && rd_reply_int(reply, 0) > k->cfg->maxlen + NODE)
		keeper_scan_trim(k, name_of(name));
}

/* Some of this page, each pass others. */
static void ask_lengths(struct rd_keeper *k)
{
	struct keeper_scan *s = &k->scan;
	size_t every = (s->count + LENGTHS - 1) / LENGTHS;

	for (size_t i = s->count == 0 ? 0 : s->pass % every; i < s->count;
	     i += every) {
		struct rd_slice key = key_of(&s->names[i]);

		if (rd_redis_call(k->link, on_length, &s->names[i], "XLEN %b",
				  key.data, key.len) != RD_OK)
			return;
		s->under_way++;
	}
}

/* ---- what is new ---- */

static void on_registered(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_keeper *k = arg;
	int64_t n = err == RD_OK ? rd_reply_int(reply, 0) : 0;

	k->scan.under_way--;
	k->discovered += (uint64_t)n;
	keeper_complain(k, "register", (struct rd_slice){"", 0}, err, reply);
	if (n > 0)
		rd_log(RD_LOG_INFO, "keeper.discovered", "channels=%" PRId64,
		       n);
}

static void register_names(struct rd_keeper *k, const size_t *which, size_t n)
{
	struct keeper_scan *s = &k->scan;
	struct rd_slice *keys = rd_new_array(struct rd_slice, 2 + n);
	struct rd_slice *args = rd_new_array(struct rd_slice, n);

	keys[0] = rd_buf_slice(&k->channels);
	keys[1] = rd_buf_slice(&k->fresh);
	for (size_t i = 0; i < n; i++) {
		keys[2 + i] = key_of(&s->names[which[i]]);
		args[i] = name_of(&s->names[which[i]]);
	}
	if (rd_script_call(k->link, RD_SCRIPT_REGISTER, keys, 2 + n, args, n,
			   on_registered, k) == RD_OK)
		s->under_way++;
	free(keys);
	free(args);
}

static void on_known(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_keeper *k = arg;
	struct keeper_scan *s = &k->scan;
	size_t *missing, n = 0;

	s->under_way--;
	keeper_complain(k, "discover", (struct rd_slice){"", 0}, err, reply);
	if (err != RD_OK || reply->count != s->count)
		return;
	missing = rd_new_array(size_t, s->count);
	for (size_t i = 0; i < s->count; i++)
		if (reply->items[i].type == RD_REPLY_NIL)
			missing[n++] = i;
	if (n > 0)
		register_names(k, missing, n);
	free(missing);
}

static void ask_known(struct rd_keeper *k)
{
	struct keeper_scan *s = &k->scan;
	struct rd_slice *words = rd_new_array(struct rd_slice, 2 + s->count);

	words[0] = rd_slice_str("ZMSCORE");
	words[1] = rd_buf_slice(&k->channels);
	for (size_t i = 0; i < s->count; i++)
		words[2 + i] = name_of(&s->names[i]);
	if (s->count > 0 &&
	    rd_redis_send(k->link, on_known, k, words, 2 + s->count) == RD_OK)
		s->under_way++;
	free(words);
}

/* ---- pages ---- */

static void add_name(struct rd_keeper *k, struct rd_slice key)
{
	struct keeper_scan *s = &k->scan;
	struct rd_slice channel;

	if (key.data == NULL ||
	    rd_key_to_channel(key, k->cfg->prefix, &channel) != RD_OK ||
	    !rd_channel_valid(channel))
		return;
	if (s->count == s->cap) {
		s->cap = s->cap == 0 ? PAGE : s->cap * 2;
		s->names = rd_realloc(s->names, s->cap * sizeof(*s->names));
	}
	s->names[s->count++] =
	    (struct scan_name){k, s->keys.len, key.len, channel.len};
	rd_buf_addslice(&s->keys, key);
}

static void end_pass(struct rd_keeper *k)
{
	struct keeper_scan *s = &k->scan;
	uint64_t now = rd_clock_ms(), took = now - s->began_ms;

	s->cursor[0] = '\0';
	s->pass++;
	if (took <= (uint64_t)k->cfg->discover_ms ||
	    (s->slow_ms != 0 && now - s->slow_ms < WARN_EACH_MS))
		return;
	s->slow_ms = now;
	rd_log(RD_LOG_WARN, "keeper.slow",
	       "took_ms=%" PRIu64 " discover_ms=%" PRId64, took,
	       k->cfg->discover_ms);
}

static void on_page(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_keeper *k = arg;
	struct keeper_scan *s = &k->scan;
	struct rd_slice cursor = rd_reply_str(rd_reply_at(reply, 0));
	const struct rd_reply *keys = rd_reply_at(reply, 1), *key;

	s->under_way--;
	keeper_complain(k, "scan", (struct rd_slice){"", 0}, err, reply);
	if (err != RD_OK || cursor.len == 0 ||
	    cursor.len >= sizeof(s->cursor)) {
		s->cursor[0] = '\0';
		return;
	}
	memcpy(s->cursor, cursor.data, cursor.len);
	s->cursor[cursor.len] = '\0';
	s->count = 0;
	rd_buf_clear(&s->keys);
	for (size_t i = 0; (key = rd_reply_at(keys, i)) != NULL; i++)
		add_name(k, rd_reply_str(key));
	ask_known(k);
	ask_lengths(k);
	if (!strcmp(s->cursor, "0"))
		end_pass(k);
}

static void on_size(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_keeper *k = arg;
	uint64_t pages = (uint64_t)rd_reply_int(reply, 0) / PAGE + 1;

	k->scan.under_way--;
	if (err != RD_OK)
		return;
	k->scan.wait_ms = (uint64_t)k->cfg->discover_ms * 3 / 4 / pages;
	if (k->scan.wait_ms < WAIT_MIN_MS)
		k->scan.wait_ms = WAIT_MIN_MS;
	if (k->keeping)
		rd_timer_start(&k->scan.step, k->scan.wait_ms);
}

static int ask_page(struct rd_keeper *k)
{
	struct keeper_scan *s = &k->scan;
	int err;

	if (s->cursor[0] == '\0') {
		s->began_ms = rd_clock_ms();
		err = rd_redis_call(k->link, on_size, k, "DBSIZE");
		if (err != RD_OK)
			return err;
		s->under_way++;
		strcpy(s->cursor, "0");
	}
	rd_key_named(&k->key, k->cfg->prefix, "ch", (struct rd_slice){"*", 1});
	err = rd_redis_call(k->link, on_page, k, "SCAN %s MATCH %b COUNT %d",
			    s->cursor, rd_buf_data(&k->key), k->key.len, PAGE);
	if (err == RD_OK)
		s->under_way++;
	return err;
}

static void step(void *arg)
{
	struct rd_keeper *k = arg;
	uint64_t wait_ms = k->scan.wait_ms;

	/* A page whose answers take longer than its time is waited for. */
	if (k->scan.under_way == 0 && ask_page(k) != RD_OK) {
		k->scan.cursor[0] = '\0';
		wait_ms = RETRY_MS;
	}
	rd_timer_start(&k->scan.step, wait_ms);
}

void keeper_scan_init(struct rd_keeper *k)
{
	rd_list_init(&k->scan.too_long);
	rd_timer_init(&k->scan.step, k->loop, step, k);
	rd_timer_init(&k->scan.trim, k->loop, trim_next, k);
}

void keeper_scan_start(struct rd_keeper *k)
{
	k->scan.cursor[0] = '\0';
	k->scan.wait_ms = RETRY_MS;
	rd_timer_start(&k->scan.step, 0);
}

void keeper_scan_stop(struct rd_keeper *k)
{
	struct rd_list *first;

	rd_timer_stop(&k->scan.step);
	rd_timer_stop(&k->scan.trim);
	while ((first = rd_list_shift(&k->scan.too_long)) != NULL)
		free(rd_list_item(first, struct keeper_call, link));
	k->scan.too_long_count = 0;
}
