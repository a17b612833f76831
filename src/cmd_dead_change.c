/* SPDX-License-Identifier: MIT */
/*
 * cmd_dead_change.c -- give dead letters back to their team, or throw them
 * away.
 *
 * A script gives a letter back and removes it in one step (revive.lua), so a
 * retry that is repeated, or made by two people, happens once.  "All" are those
 * that were there at the start: what dies again meanwhile is a new letter, and
 * stays for the next time.
 */
#include "src/cmd_dead_impl.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/publisher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct reviving {
	struct rd_dead *dead; /* borrowed */
	struct rd_bulk bulk;
	struct rd_publisher *publisher; /* owned; makes channels known */
	uint64_t back;                  /* letters that wait for their team */
	uint64_t had;    /* that the team has anyway: only removed */
	uint64_t copied; /* published again */
	uint64_t gone;   /* not done: the message is gone from its channel */
	uint64_t failed; /* not done for other reasons */
};

/* One letter on its way. */
struct revival {
	struct reviving *of; /* borrowed */
	struct rd_id letter;
};

/* --- giving back --------------------------------------------------------- */

static void tell(struct reviving *r, struct rd_id letter, const char *why)
{
	char text[RD_ID_TEXT];

	r->failed++;
	rd_cli_fail(0, "%s: %s", rd_id_text(letter, text), why);
}

static void on_revived(void *arg, int err, const struct rd_reply *reply)
{
	struct revival *v = arg;
	struct reviving *r = v->of;

	if (err == RD_EREDIS) {
		tell(r, v->letter, reply->str.data);
	} else if (err == RD_OK) {
		switch (rd_reply_int(rd_reply_at(reply, 0), 0)) {
		case 1:
			r->back++;
			break;
		case 2:
			r->had++;
			break;
		case 3:
			r->copied++;
			break;
		case -1:
			r->gone++;
			tell(r, v->letter,
			     "its message is gone from the channel; "
			     "--republish publishes it again, for everybody");
			break;
		case -2:
			tell(r, v->letter,
			     "the team has no group on its channel (any more)");
			break;
		default:
			tell(r, v->letter, "there is no such letter any more");
		}
	}
	rd_bulk_answer(&r->bulk, err == RD_EREDIS ? RD_OK : err, reply);
}

static void add_beside(struct reviving *r, const char *kind,
		       struct rd_slice channel, struct rd_buf *key)
{
	char full[RD_NAME_MAX + 16];

	snprintf(full, sizeof(full), "%s:%s", kind, r->dead->team);
	rd_key_beside(key, r->dead->cli.cfg.prefix, full, channel);
}

static int revive(struct reviving *r, struct revival *v,
		  const struct rd_letter *letter)
{
	const char *prefix = r->dead->cli.cfg.prefix;
	struct rd_buf keys[3] = {RD_BUF_INIT, RD_BUF_INIT, RD_BUF_INIT};
	struct rd_slice words[4], args[3];
	char id[RD_ID_TEXT];
	int err = rd_bulk_room(&r->bulk);

	*v = (struct revival){r, letter->id};
	if (!rd_channel_valid(letter->channel)) {
		tell(r, letter->id, "it does not say where it comes from");
		return err;
	}
	rd_key_channel(&keys[0], prefix, letter->channel);
	add_beside(r, "tries", letter->channel, &keys[1]);
	add_beside(r, "later", letter->channel, &keys[2]);
	for (size_t i = 0; i < 3; i++)
		words[i] = rd_buf_slice(&keys[i]);
	words[3] = rd_buf_slice(&r->dead->key);
	args[0] = rd_slice_str(r->dead->team);
	args[1] = rd_slice_str(rd_id_text(letter->id, id));
	args[2] = rd_slice_str(r->dead->republish ? "1" : "");
	if (err == RD_OK && r->dead->republish)
		rd_publisher_note(r->publisher, letter->channel, 1);
	if (err == RD_OK)
		rd_bulk_sent(&r->bulk,
			     rd_script_call(rd_ask_link(r->dead->ask),
					    RD_SCRIPT_REVIVE, words, 4, args, 3,
					    on_revived, v));
	for (size_t i = 0; i < 3; i++)
		rd_buf_fini(&keys[i]);
	return err;
}

/* The exit status. */
static int revive_page(struct reviving *r, const struct rd_reply *reply)
{
	struct rd_reply *page = rd_reply_copy(reply);
	struct revival *list = rd_new_array(struct revival, page->count + 1);
	struct rd_letter letter;
	int err = RD_OK, status;

	for (size_t i = 0; err == RD_OK && i < page->count; i++) {
		rd_letter_read(rd_reply_at(page, i), &letter);
		err = revive(r, &list[i], &letter);
	}
	status = rd_bulk_end(&r->bulk);
	if (status != RD_EXIT_OK)
		rd_ask_close(&r->dead->ask); /* nothing may come for these */
	free(list);
	free(page);
	return status;
}

static int revive_named(struct reviving *r)
{
	struct rd_dead *d = r->dead;
	int status = RD_EXIT_OK;

	for (int i = 0; status == RD_EXIT_OK && i < d->word_count; i++) {
		const struct rd_reply *page;
		int err = rd_dead_page(d, d->words[i], d->words[i], &page);

		if (err != RD_OK) {
			status = rd_cli_redis_fail(err, page);
		} else if (page->count == 0) {
			r->failed++;
			rd_cli_fail(0, "%s: team %s has no such letter",
				    d->words[i], d->team);
		} else {
			status = revive_page(r, page);
		}
	}
	return status;
}

/* Calls fn for each page of all letters that are there now. */
static int each_page(struct rd_dead *d,
		     int (*fn)(void *arg, const struct rd_reply *page),
		     void *arg)
{
	struct rd_progress progress = {0};
	char from[RD_ID_TEXT + 1] = "-", to[RD_ID_TEXT];
	size_t seen = RD_LETTER_PAGE;
	struct rd_id last;
	uint64_t done = 0;
	int status = RD_EXIT_OK;

	if (rd_dead_last(d, &last, &status) != RD_OK)
		return status;
	rd_id_text(last, to);
	while (status == RD_EXIT_OK && seen == RD_LETTER_PAGE) {
		const struct rd_reply *page;
		int err = rd_dead_page(d, from, to, &page);

		if (err != RD_OK) {
			status = rd_cli_redis_fail(err, page);
			break;
		}
		seen = page->count;
		if (seen == 0)
			break;
		from[0] = '(';
		rd_id_text(
		    rd_reply_id(rd_reply_at(rd_reply_at(page, seen - 1), 0)),
		    from + 1);
		status = fn(arg, page);
		done += seen;
		rd_progress_show(&progress, "letters", done, 0);
	}
	rd_progress_end(&progress);
	return status;
}

static int revive_each(void *arg, const struct rd_reply *page)
{
	return revive_page(arg, page);
}

static int report(struct reviving *r)
{
	struct rd_buf *out = &r->dead->out;
	uint64_t done = r->back + r->had + r->copied;

	if (r->dead->json) {
		rd_buf_addf(out,
			    "{\"retried\":%" PRIu64 ",\"republished\":%" PRIu64
			    ",\"gone\":%" PRIu64 ",\"failed\":%" PRIu64 "}\n",
			    r->back + r->had, r->copied, r->gone, r->failed);
	} else if (done > 0) {
		rd_buf_addf(out, "team %s gets %" PRIu64 " message%s back",
			    r->dead->team, r->back + r->had,
			    r->back + r->had == 1 ? "" : "s");
		if (r->copied > 0)
			rd_buf_addf(out, ", %" PRIu64 " published again",
				    r->copied);
		rd_buf_addc(out, '\n');
	}
	return rd_cli_print(out);
}

int rd_dead_retry(struct rd_dead *d)
{
	struct reviving r = {.dead = d, .bulk = {.ask = d->ask}};
	int status;

	r.publisher = rd_publisher_new(rd_ask_link(d->ask), &d->cli.cfg);
	status = d->all ? each_page(d, revive_each, &r) : revive_named(&r);
	rd_ask_close(&d->ask);
	rd_publisher_free(&r.publisher);
	if (report(&r) != RD_EXIT_OK || r.failed > 0)
		return status == RD_EXIT_OK ? RD_EXIT_FAILED : status;
	return status;
}

/* --- throwing away ------------------------------------------------------- */

struct dropping {
	struct rd_dead *dead; /* borrowed */
	uint64_t dropped;     /* letters */
};

static int drop_ids(struct dropping *x, const struct rd_slice *ids,
		    size_t count)
{
	struct rd_slice words[RD_LETTER_PAGE + 2];
	const struct rd_reply *reply;
	int err;

	words[0] = rd_slice_str("XDEL");
	words[1] = rd_buf_slice(&x->dead->key);
	for (size_t i = 0; i < count; i++)
		words[i + 2] = ids[i];
	err = rd_ask_words(x->dead->ask, &reply, words, count + 2);
	if (err != RD_OK)
		return rd_cli_redis_fail(err, reply);
	x->dropped += (uint64_t)rd_reply_int(reply, 0);
	return RD_EXIT_OK;
}

static int drop_page(void *arg, const struct rd_reply *reply)
{
	struct rd_slice ids[RD_LETTER_PAGE];
	struct rd_reply *page = rd_reply_copy(reply);
	int status;

	for (size_t i = 0; i < page->count; i++)
		ids[i] = rd_reply_str(rd_reply_at(rd_reply_at(page, i), 0));
	status = drop_ids(arg, ids, page->count);
	free(page);
	return status;
}

static int drop_named(struct dropping *x)
{
	struct rd_dead *d = x->dead;
	int status = RD_EXIT_OK;

	for (int i = 0; status == RD_EXIT_OK && i < d->word_count; i++) {
		struct rd_slice id = rd_slice_str(d->words[i]);
		uint64_t before = x->dropped;

		status = drop_ids(x, &id, 1);
		if (status == RD_EXIT_OK && x->dropped == before)
			status = rd_cli_fail(RD_EXIT_FAILED,
					     "team %s has no dead letter %s",
					     d->team, d->words[i]);
	}
	return status;
}

int rd_dead_drop(struct rd_dead *d)
{
	struct dropping x = {.dead = d};
	struct rd_buf question = RD_BUF_INIT;
	int status = RD_EXIT_OK, printed;

	if (d->all && !d->yes) {
		rd_buf_addf(&question,
			    "All dead letters of team %s will be thrown away.",
			    d->team);
		status = rd_cli_confirm(rd_buf_text(&question));
		rd_buf_fini(&question);
	}
	if (status != RD_EXIT_OK)
		return status;
	status = d->all ? each_page(d, drop_page, &x) : drop_named(&x);
	if (d->json)
		rd_buf_addf(&d->out, "{\"dropped\":%" PRIu64 "}\n", x.dropped);
	else
		rd_buf_addf(&d->out, "%" PRIu64 " dead letter%s thrown away\n",
			    x.dropped, x.dropped == 1 ? "" : "s");
	printed = rd_cli_print(&d->out);
	return status == RD_EXIT_OK ? printed : status;
}
