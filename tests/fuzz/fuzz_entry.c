/* SPDX-License-Identifier: MIT */
/*
 * fuzz_entry.c -- any entry as a server event, and any answer to it:
 * workers/event.c, dispatch.c and line.c.
 *
 * The input is the line of a handler, up to the first newline, then names and
 * values, each behind one byte of length.  What the entry is becomes one line
 * of JSON.  Where somebody waits for an answer, exactly one is posted, to the
 * gateway of the socket, in the form that mailboxes take; and it allows only
 * where the handler's line has said so.
 */
#include "src/json.h"
#include "src/keys.h"
#include "src/message.h"
#include "src/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "workers/line.h"

#define MAX_SLICES 64

static void check_line(const struct rd_slice *fields, size_t count,
		       const struct rd_message *msg, bool is_event)
{
	struct rd_buf out = RD_BUF_INIT;
	struct rd_members m = {0};
	struct rd_slice line;
	const struct rd_member *event;
	int err;

	rd_line_entry(&out, 7, rd_slice_str("channel"), fields, count, msg, 1);
	line = rd_buf_slice(&out);
	assert(line.len > 0 && line.data[line.len - 1] == '\n');
	line.len--;
	assert(memchr(line.data, '\n', line.len) == NULL);
	/* JSON here has no NUL in a name, which fields may hold. */
	if (strstr(rd_buf_text(&out), "\\u0000") == NULL) {
		line = (struct rd_slice){rd_buf_data(&out), out.len - 1};
		err = rd_json_members(line, &m);
		assert(err == RD_OK);
		event = rd_members_get(&m, "event");
		assert(event != NULL && event->kind == RD_KIND_STRING);
		assert(rd_slice_is(event->text, "message") != is_event);
		assert(rd_members_get(&m, "seq")->integer == 7);
	}
	rd_members_fini(&m);
	rd_buf_fini(&out);
}

static void check_event(const struct rd_event_entry *e)
{
	const struct rd_event *event = &e->event;

	assert(rd_event_name(event->kind) != NULL);
	assert(e->gateway.len >= 1 && e->gateway.len <= RD_GATEWAY_MAX);
	assert(fuzz_is_inside(e->gateway, event->socket));
	assert(event->channel.data == NULL || rd_channel_valid(event->channel));
	assert(rd_utf8_valid(event->from));
	assert(e->ask.len <= 20 && (e->until_ms == 0 || e->ask.len > 0));
}

/* The value behind a name in a post, or an empty slice. */
static struct rd_slice word(const struct rd_verdict *v,
			    const struct rd_effect *post, const char *name)
{
	const struct rd_span *words = v->words + post->words_at;

	for (size_t i = 0; i + 1 < post->word_count; i += 2)
		if (rd_slice_is(rd_verdict_slice(v, words[i]), name))
			return rd_verdict_slice(v, words[i + 1]);
	return (struct rd_slice){0};
}

/* Does the line say "allow":true, and leave it at that? */
static bool says_yes(struct rd_slice line)
{
	struct rd_members m = {0};
	const struct rd_member *allow;
	bool yes = rd_json_members(line, &m) == RD_OK;

	allow = yes ? rd_members_get(&m, "allow") : NULL;
	yes = allow != NULL && allow->kind == RD_KIND_BOOL &&
	      allow->integer == 1 && rd_members_get(&m, "retry") == NULL &&
	      rd_members_get(&m, "dead") == NULL;
	rd_members_fini(&m);
	return yes;
}

/* What the handler said; false where it is nothing that it may say, which is a
 * failure. */
static bool read_verdict(struct rd_slice line, struct rd_verdict *v)
{
	struct rd_line_reader r = {0};
	struct rd_buf why = RD_BUF_INIT;
	uint64_t seq;
	bool good = rd_line_seq(&r, line, &seq) == RD_OK &&
		    rd_line_verdict(&r, v, &why) == RD_OK;

	if (!good) {
		rd_verdict_clear(v);
		rd_verdict_fail(v, rd_slice_str("no answer"));
	}
	rd_line_fini(&r);
	rd_buf_fini(&why);
	return good;
}

static void check_answer(const struct rd_event_entry *e,
			 const struct rd_verdict *v, bool yes)
{
	const struct rd_effect *post = &v->effects[v->count - 1];
	struct rd_slice allow;

	assert(v->count > 0 && post->kind == RD_EFFECT_POST);
	assert(post->word_count % 2 == 0);
	assert(rd_slice_eq(rd_verdict_slice(v, post->channel), e->gateway));
	assert(rd_slice_is(word(v, post, "op"), "answer"));
	assert(rd_slice_eq(word(v, post, "ask"), e->ask));
	allow = word(v, post, "allow");
	assert(rd_slice_is(allow, "0") || rd_slice_is(allow, "1"));
	assert(rd_slice_is(allow, "1") == yes);
	assert(rd_utf8_valid(word(v, post, "reason")));
	assert(yes || word(v, post, "from").data == NULL);
}

static void settle(const struct rd_event_entry *e, struct rd_slice line)
{
	static const struct rd_policy policy = {3, 3, 1000, 60000};
	struct rd_verdict v = {0};
	struct rd_order order;
	size_t before;
	bool good, expired;

	good = read_verdict(line, &v);
	order = rd_dispatch(&policy, &v, 0, 0, 1);
	before = v.count;
	rd_event_settle(e, &order, &v);
	if (e->ask.len == 0) {
		assert(v.count == before);
	} else {
		check_answer(e, &v, good && says_yes(line));
		assert(order.verb != RD_VERB_RETRY);
		assert(order.verb == RD_VERB_DONE ||
		       e->event.kind != RD_EVENT_CONNECT);
	}
	expired = rd_event_expire(e, UINT64_MAX, &v);
	assert(expired == (e->ask.len > 0 && e->until_ms > 0));
	if (expired) {
		order = rd_dispatch(&policy, &v, 0, 0, 1);
		rd_event_settle(e, &order, &v);
		assert(v.count == 0 && order.verb == RD_VERB_DONE);
	}
	rd_verdict_fini(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_slice in = fuzz_input(data, len), fields[MAX_SLICES], line;
	struct rd_event_entry e;
	struct rd_message msg;
	size_t count = 0;
	bool is_event;

	line = fuzz_until(&in, '\n');
	while (in.len > 0 && count < MAX_SLICES)
		fields[count++] = fuzz_piece(&in);
	rd_message_read((struct rd_id){1, 2}, fields, count, &msg);
	is_event = rd_event_read(fields, count, &msg, &e);
	check_line(fields, count, &msg, is_event);
	if (is_event) {
		check_event(&e);
		settle(&e, line);
	}
	return 0;
}
