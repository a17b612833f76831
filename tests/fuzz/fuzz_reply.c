/* SPDX-License-Identifier: MIT */
/*
 * fuzz_reply.c -- whatever Redis answers, into src/reply_reader.c and what
 * reads trees: reply.c, the entries of stream.c.
 *
 * The first byte says how many pieces there are, and their sizes follow; the
 * rest is bytes of a link.  At once and in pieces they must give the same
 * replies, of which copies are the same again.  A reader that has failed stays
 * so.
 */
#include "src/message.h"
#include "src/reply_reader.h"
#include "src/stream.h"
#include "tests/fuzz/fuzz.h"

static void dump(const struct rd_reply *r, struct rd_buf *out)
{
	rd_buf_addf(out, "%d %lld %zu ", r->type, (long long)r->integer,
		    r->count);
	assert(r->type <= RD_REPLY_ARRAY);
	assert(r->type == RD_REPLY_ARRAY || r->count == 0);
	assert(r->str.data == NULL || r->str.data[r->str.len] == '\0');
	assert((r->str.data != NULL) ==
	       (r->type == RD_REPLY_STATUS || r->type == RD_REPLY_ERROR ||
		r->type == RD_REPLY_STRING));
	fuzz_add(out, r->str);
	for (size_t i = 0; i < r->count; i++)
		dump(&r->items[i], out);
}

static void read_entries(struct rd_entries it)
{
	size_t count = rd_entries_count(&it), n = 0;
	struct rd_entry entry;
	struct rd_message msg;

	while (rd_entries_next(&it, &entry)) {
		rd_entry_message(&entry, &msg);
		assert(rd_id_cmp(msg.id, entry.id) == 0);
		assert(msg.field_count % 2 == 0);
		assert(entry.fields == NULL ||
		       msg.field_count <= entry.fields->count);
		n++;
	}
	assert(n <= count);
}

/* As the rest of the house looks at replies. */
static void look(const struct rd_reply *r)
{
	const struct rd_reply *item = rd_reply_get(r, "last-generated-id");
	char id[RD_ID_TEXT];

	read_entries(rd_entries_of(r));
	read_entries(rd_entries_one(r));
	assert(rd_reply_at(r, r->count) == NULL);
	(void)rd_id_text(rd_reply_id(item), id);
	if (rd_reply_is_error(r, "NOSCRIPT"))
		assert(r->type == RD_REPLY_ERROR);
	if (r->type == RD_REPLY_INT)
		assert(rd_reply_int(r, 0) == r->integer);
	if (r->type == RD_REPLY_STRING && rd_reply_int(r, 1) != 1)
		assert(rd_reply_int(r, 2) == rd_reply_int(r, 3));
}

static void check(const struct rd_reply *r, struct rd_buf *out)
{
	struct rd_buf one = RD_BUF_INIT, two = RD_BUF_INIT;
	struct rd_reply *copy = rd_reply_copy(r);

	dump(r, &one);
	dump(copy, &two);
	assert(rd_slice_eq(rd_buf_slice(&one), rd_buf_slice(&two)));
	look(copy);
	rd_buf_addslice(out, rd_buf_slice(&one));
	free(copy);
	rd_buf_fini(&one);
	rd_buf_fini(&two);
}

/* Feeds pieces of these sizes, and what is left as the last one. */
static void run(struct rd_slice in, struct rd_slice cuts, struct rd_buf *out)
{
	struct rd_reply_reader *reader = rd_reply_reader_new();
	const struct rd_reply *reply;
	int err = RD_EAGAIN;

	do {
		struct rd_slice piece = cuts.len > 0
					    ? fuzz_take(&in, fuzz_byte(&cuts))
					    : fuzz_take(&in, in.len);
		char *exact = fuzz_exact(piece);

		rd_reply_reader_feed(reader, exact, piece.len);
		free(exact);
		while ((err = rd_reply_reader_next(reader, &reply)) == RD_OK)
			check(reply, out);
		assert(err == RD_EAGAIN || err == RD_EFORMAT);
	} while (err == RD_EAGAIN && in.len > 0);
	rd_buf_addf(out, "%d", err);
	if (err == RD_EFORMAT) {
		assert(*rd_reply_reader_why(reader) != '\0');
		rd_reply_reader_feed(reader, "+OK\r\n", 5);
		err = rd_reply_reader_next(reader, &reply);
		assert(err == RD_EFORMAT);
	}
	rd_reply_reader_free(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_slice in = fuzz_input(data, len), cuts, none = {"", 0};
	struct rd_buf whole = RD_BUF_INIT, pieces = RD_BUF_INIT;

	cuts = fuzz_piece(&in);
	run(in, none, &whole);
	run(in, cuts, &pieces);
	assert(rd_slice_eq(rd_buf_slice(&whole), rd_buf_slice(&pieces)));
	rd_buf_fini(&whole);
	rd_buf_fini(&pieces);
	return 0;
}
