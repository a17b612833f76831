/* SPDX-License-Identifier: MIT */
/*
 * fuzz_answer.c -- whatever an exec handler writes, through a pipe, into
 * workers/pipe.c and line.c.
 *
 * The first byte chooses the longest line and what becomes of longer ones, the
 * second how many pieces there are, and their sizes follow; the rest is what
 * the handler writes.  It comes at once and in pieces, and both must give the
 * same lines and the same verdicts.  What a verdict holds must be what the
 * commit relies on; a line that is refused says why.
 */
#include "src/keys.h"
#include "src/mem.h"
#include "src/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "workers/line.h"
#include "workers/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#define INPUT_MAX 60000 /* what a pipe holds */

struct reading {
	struct rd_line_reader lines;
	struct rd_verdict verdict;
	size_t max;
	struct rd_buf *out; /* all that was read */
};

static void check_effect(const struct rd_verdict *v, const struct rd_effect *e)
{
	struct rd_slice name = rd_verdict_slice(v, e->name);
	struct rd_slice value = rd_verdict_slice(v, e->value);

	assert(e->kind != RD_EFFECT_TALLY);
	if (e->kind == RD_EFFECT_EMIT) {
		assert(rd_channel_valid(rd_verdict_slice(v, e->channel)));
		assert(rd_utf8_valid(name) && (e->typed || name.len == 0));
		assert(rd_payload_valid(e->encoding, value));
		assert(e->delay_ms <= RD_RETRY_MAX_MS);
		return;
	}
	assert(e->word_count >= 4 && e->word_count % 2 == 0);
	assert(e->words_at + e->word_count <= v->word_count);
	assert(rd_slice_is(rd_verdict_slice(v, v->words[e->words_at]), "op"));
	assert(e->channel.len >= 1 && e->channel.len <= RD_GATEWAY_MAX);
}

static void check_verdict(const struct rd_verdict *v)
{
	const struct rd_answer *a = &v->answer;

	assert(v->count <= RD_EFFECTS_MAX);
	assert(v->bytes.len <= RD_EFFECTS_MAX_BYTES);
	assert(v->reason.len <= RD_REASON_MAX);
	assert(rd_utf8_valid(rd_buf_slice(&v->reason)));
	assert(v->outcome <= RD_OUTCOME_DEAD);
	assert(v->outcome == RD_OUTCOME_DONE ||
	       (v->count == 0 && a->kind == RD_ANSWER_UNSAID));
	for (size_t i = 0; i < v->count; i++)
		check_effect(v, &v->effects[i]);
	if (a->kind == RD_ANSWER_CHANGE || a->kind == RD_ANSWER_REPLY)
		assert(rd_payload_valid(a->encoding,
					rd_verdict_slice(v, a->text)) &&
		       rd_utf8_valid(rd_verdict_slice(v, a->type)));
	if (a->kind == RD_ANSWER_REFUSE)
		assert(rd_utf8_valid(rd_verdict_slice(v, a->text)));
	if (v->named)
		assert(v->from.len >= 1 && v->from.len <= RD_FROM_MAX);
}

static void dump_verdict(const struct rd_verdict *v, struct rd_buf *out)
{
	rd_buf_addf(out, "%d %llu %zu %zu %d %d\n", v->outcome,
		    (unsigned long long)v->delay_ms, v->count, v->word_count,
		    v->answer.kind, v->named);
	fuzz_add(out, rd_buf_slice(&v->bytes));
	fuzz_add(out, rd_buf_slice(&v->reason));
}

/* As exec.c does with a line. */
static void on_line(void *arg, struct rd_slice line)
{
	struct reading *r = arg;
	struct rd_buf why = RD_BUF_INIT;
	uint64_t seq = 0;
	char *exact = fuzz_exact(line);

	assert(line.len > 0 && line.len <= r->max);
	assert(memchr(line.data, '\n', line.len) == NULL);
	fuzz_add(r->out, line);
	line.data = exact;
	if (rd_line_seq(&r->lines, line, &seq) == RD_OK) {
		assert(seq >= 1 && seq <= INT64_MAX);
		rd_verdict_clear(&r->verdict);
		if (rd_line_verdict(&r->lines, &r->verdict, &why) == RD_OK) {
			assert(why.len == 0);
			check_verdict(&r->verdict);
			dump_verdict(&r->verdict, r->out);
		} else {
			assert(why.len > 0);
			rd_buf_addslice(r->out, rd_buf_slice(&why));
		}
	}
	rd_buf_fini(&why);
	free(exact);
}

/* The sizes of pieces are taken from cuts; the last piece is what is left. */
static void run(struct rd_slice in, struct rd_slice cuts, unsigned how,
		struct rd_buf *out)
{
	struct reading r = {.max = how & 2 ? 100 : INPUT_MAX, .out = out};
	struct rd_pipe pipe_in = {
	    .max = r.max, .cut = how & 1, .fn = on_line, .arg = &r};
	int fds[2], err = RD_EAGAIN;

	if (pipe2(fds, O_NONBLOCK) < 0)
		abort();
	do {
		struct rd_slice piece = cuts.len > 0
					    ? fuzz_take(&in, fuzz_byte(&cuts))
					    : fuzz_take(&in, in.len);

		if (write(fds[1], piece.data, piece.len) != (ssize_t)piece.len)
			abort();
		err = rd_pipe_read(&pipe_in, fds[0], 2 * INPUT_MAX);
		assert(err == RD_EAGAIN || (err == RD_ETOOBIG && !(how & 1)));
		assert(err == RD_ETOOBIG || pipe_in.buf.len <= r.max);
	} while (err == RD_EAGAIN && in.len > 0);
	rd_buf_addf(out, "%d", err);
	close(fds[0]);
	close(fds[1]);
	rd_pipe_fini(&pipe_in);
	rd_line_fini(&r.lines);
	rd_verdict_fini(&r.verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_slice in = fuzz_input(data, len), cuts, none = {"", 0};
	struct rd_buf whole = RD_BUF_INIT, pieces = RD_BUF_INIT;
	unsigned how = fuzz_byte(&in);

	cuts = fuzz_piece(&in);
	if (in.len > INPUT_MAX)
		return 0;
	run(in, none, how, &whole);
	run(in, cuts, how, &pieces);
	assert(rd_slice_eq(rd_buf_slice(&whole), rd_buf_slice(&pieces)));
	rd_buf_fini(&whole);
	rd_buf_fini(&pieces);
	return 0;
}
