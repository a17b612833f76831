/* SPDX-License-Identifier: MIT */
/*
 * test_ring.c -- gateway/ring.c, ring_at.c: what was put in comes out again,
 * each message once, in order, as far as memory reaches, and never further.
 *
 * First one thing after the other; then rings at random, beside arrays that
 * know what the streams really hold.
 */
#include "gateway/ring.h"
#include "tests/unit/unit.h"

#define MANY    400
#define LARGE   20000 /* bytes of a payload; two fill a run */
#define NOLIMIT ((size_t)1 << 30)
#define U       RD_COUNT_UNKNOWN

#define ck_id_eq(a, b)                                                         \
	do {                                                                   \
		ck_assert_uint_eq((a).ms, (b).ms);                             \
		ck_assert_uint_eq((a).seq, (b).seq);                           \
	} while (0)

/* ---- streams, as replies of Redis ---- */

struct entry {
	char text[RD_ID_TEXT];
	struct rd_reply parts[2];  /* id, fields */
	struct rd_reply fields[2]; /* one name, one value */
};

struct stream {
	struct rd_id ids[MANY];
	struct entry entries[MANY];
	struct rd_reply items[MANY];
	struct rd_reply list; /* of the last page */
};

static char padding[LARGE + MANY];

static struct rd_reply string(struct rd_slice s)
{
	return (struct rd_reply){.type = RD_REPLY_STRING, .str = s};
}

static struct rd_reply array(struct rd_reply *items, size_t count)
{
	return (struct rd_reply){
	    .type = RD_REPLY_ARRAY, .count = count, .items = items};
}

/* The payload of entry i tells which it is. */
static void entry_make(struct stream *s, size_t i, struct rd_id id, size_t size)
{
	struct entry *e = &s->entries[i];

	s->ids[i] = id;
	e->fields[0] = string(S("text"));
	e->fields[1] = string((struct rd_slice){padding + i, size});
	e->parts[0] = string(rd_slice_str(rd_id_text(id, e->text)));
	e->parts[1] = array(e->fields, 2);
	s->items[i] = array(e->parts, 2);
}

/* Entries i up to j, that not included; good until the next call. */
static struct rd_entries page_of(struct stream *s, size_t i, size_t j)
{
	s->list = array(s->items + i, j - i);
	return rd_entries_of(&s->list);
}

/* ---- one thing after the other ---- */

static struct stream stream; /* entry i is 10*i-0; there is none at 0 */
static struct rd_rings *rings;
static struct rd_ring *ring;

static struct rd_id id_of(size_t i)
{
	return (struct rd_id){10 * i, 0};
}

static void setup(size_t limit, size_t size)
{
	for (size_t i = 0; i < sizeof(padding); i++)
		padding[i] = (char)('a' + i * i % 25);
	for (size_t i = 0; i < MANY; i++)
		entry_make(&stream, i, id_of(i), size);
	rings = rd_rings_new(limit);
}

static void teardown(void)
{
	rd_ring_free(&ring);
	ck_assert_uint_eq(rd_rings_bytes(rings), 0);
	rd_rings_free(&rings);
	ck_assert_ptr_null(rings);
}

/* Own reads: entries from..to. */
static void append(struct rd_ring **r, size_t from, size_t to, uint64_t count)
{
	struct rd_ring_at at;

	rd_ring_append(rings, r, (struct rd_position){id_of(from - 1), count},
		       page_of(&stream, from, to + 1), &at);
	ck_id_eq(at.is.id, id_of(from - 1));
	ck_assert_uint_eq(at.is.count, count);
	ck_id_eq(rd_ring_peek(&at), id_of(from));
}

/* What was read after one place, up to another: entries from..to. */
static void put(struct rd_position after, size_t from, size_t to,
		struct rd_id upto, const struct rd_stream_info *head)
{
	const struct rd_ring_page page = {.after = after,
					  .upto = upto,
					  .entries =
					      page_of(&stream, from, to + 1),
					  .head = head};

	rd_ring_put(rings, &ring, &page);
}

static enum rd_ring_found find(struct rd_id id)
{
	struct rd_ring_at at;

	return rd_ring_find(rings, ring, id, &at);
}

/* The next is entry i, and so many have been given then. */
static void next_is(struct rd_ring_at *at, size_t i, uint64_t count)
{
	struct rd_message msg;

	ck_id_eq(rd_ring_peek(at), id_of(i));
	ck_assert_uint_gt(rd_ring_next(at, &msg), 0);
	ck_id_eq(msg.id, id_of(i));
	ck_id_eq(at->is.id, id_of(i));
	ck_assert_uint_eq(at->is.count, count);
	ck_assert_int_eq(msg.encoding, RD_ENC_TEXT);
	ck_slice_eq(msg.payload, stream.entries[i].fields[1].str);
}

/* Nothing follows; it is known up to here. */
static void ends_at(struct rd_ring_at *at, struct rd_id id)
{
	struct rd_message msg;

	ck_id_eq(rd_ring_peek(at), RD_ID_ZERO);
	ck_assert_uint_eq(rd_ring_next(at, &msg), 0);
	ck_id_eq(at->is.id, id);
}

/* From this offset on, entries from..to follow, counted from the first. */
static void follow(struct rd_id id, size_t from, size_t to, uint64_t count)
{
	struct rd_ring_at at;

	ck_assert_int_eq(rd_ring_find(rings, ring, id, &at), RD_RING_AT);
	ck_id_eq(at.is.id, id);
	ck_assert_uint_eq(at.is.count, count);
	for (size_t i = from; i <= to; i++)
		next_is(&at, i, count == U ? U : ++count);
	ends_at(&at, id_of(to));
}

START_TEST(test_what_was_read_is_given_again)
{
	struct rd_ring_at at;

	setup(NOLIMIT, 5);
	ck_assert_int_eq(find(id_of(0)), RD_RING_NONE);
	ck_assert(!rd_ring_newest(ring, &at));
	append(&ring, 1, 3, 0);
	append(&ring, 4, 5, 3);
	for (size_t i = 0; i < 5; i++)
		follow(id_of(i), i + 1, 5, i);
	/* Between two: directly before an entry it is as good as one. */
	follow(rd_id_prev(id_of(3)), 3, 5, 2);
	ck_assert_int_eq(rd_ring_find(rings, ring, rd_id_next(id_of(2)), &at),
			 RD_RING_AMID);
	ck_id_eq(at.is.id, rd_id_next(id_of(2)));
	ck_assert_uint_eq(at.is.count, 2);
	next_is(&at, 3, 3);
	/* At its end, and beyond. */
	ck_assert_int_eq(find(id_of(5)), RD_RING_NONE);
	ck_assert_int_eq(find(id_of(9)), RD_RING_NONE);
	ck_assert(rd_ring_newest(ring, &at));
	ck_id_eq(at.is.id, id_of(4));
	next_is(&at, 5, 5);
	ends_at(&at, id_of(5));
	teardown();
}
END_TEST

START_TEST(test_places_stay_good_while_it_grows)
{
	struct rd_ring_at at;

	setup(NOLIMIT, LARGE);
	append(&ring, 1, 1, 0);
	ck_assert_int_eq(rd_ring_find(rings, ring, id_of(0), &at), RD_RING_AT);
	append(&ring, 2, 9, 1);
	for (size_t i = 1; i <= 9; i++)
		next_is(&at, i, i);
	ends_at(&at, id_of(9));
	append(&ring, 10, 10, 9);
	next_is(&at, 10, 10);
	teardown();
}
END_TEST

START_TEST(test_many_runs_are_one_walk)
{
	struct rd_ring_at at;

	setup(NOLIMIT, LARGE);
	for (size_t i = 1; i < 20; i += 3)
		append(&ring, i, i + 2, i - 1);
	for (size_t i = 0; i < 21; i++)
		follow(id_of(i), i + 1, 21, i);
	ck_assert(rd_ring_newest(ring, &at));
	next_is(&at, 21, 21);
	ck_assert_uint_gt(rd_rings_bytes(rings), 21 * LARGE);
	teardown();
}
END_TEST

START_TEST(test_a_hole_is_not_crossed)
{
	struct rd_ring_at at;

	setup(NOLIMIT, 5);
	append(&ring, 1, 3, 0);
	append(&ring, 6, 8, U);
	follow(id_of(1), 2, 3, 1);
	follow(id_of(5), 6, 8, U);
	ck_assert_int_eq(find(id_of(3)), RD_RING_NONE);
	ck_assert_int_eq(find(id_of(4)), RD_RING_NONE);
	ck_assert(rd_ring_newest(ring, &at));
	ck_id_eq(at.is.id, id_of(7));
	teardown();
}
END_TEST

/* ---- pages ---- */

START_TEST(test_pages_fill_what_is_missing)
{
	struct rd_ring_at at;

	setup(NOLIMIT, 5);
	append(&ring, 10, 12, 9);
	/* Before it, not touching it. */
	put((struct rd_position){id_of(2), 2}, 3, 5, id_of(5), NULL);
	follow(id_of(2), 3, 5, 2);
	ck_assert_int_eq(find(id_of(5)), RD_RING_NONE);
	ck_assert_int_eq(find(id_of(1)), RD_RING_NONE);
	/* Between, overlapping both: cut at either side, and its count does
	 * not hold for what is left; that of the run before goes on. */
	put((struct rd_position){id_of(3), 77}, 4, 11, id_of(11), NULL);
	follow(id_of(2), 3, 12, 2);
	ck_assert_int_eq(rd_ring_find(rings, ring, id_of(6), &at), RD_RING_AT);
	ck_assert_uint_eq(at.is.count, U);
	for (size_t i = 7; i <= 9; i++)
		next_is(&at, i, U);
	next_is(&at, 10, 10); /* here it is known again */
	teardown();
}
END_TEST

START_TEST(test_a_page_that_is_there_already_changes_nothing)
{
	size_t bytes;

	setup(NOLIMIT, 5);
	append(&ring, 5, 9, 4);
	put((struct rd_position){id_of(1), 1}, 2, 4, id_of(4), NULL);
	bytes = rd_rings_bytes(rings);
	put((struct rd_position){id_of(1), U}, 2, 4, id_of(4), NULL);
	put((struct rd_position){id_of(2), U}, 3, 3, id_of(3), NULL);
	put((struct rd_position){id_of(1), U}, 2, 9, id_of(9), NULL);
	put((struct rd_position){id_of(9), U}, 10, 9, id_of(9), NULL);
	ck_assert_uint_eq(rd_rings_bytes(rings), bytes);
	follow(id_of(1), 2, 9, 1);
	teardown();
}
END_TEST

START_TEST(test_only_what_belongs_to_a_page_is_taken)
{
	setup(NOLIMIT, 5);
	/* Entries beyond its end, and at its beginning. */
	put((struct rd_position){id_of(2), 2}, 2, 8, id_of(4), NULL);
	follow(id_of(2), 3, 4, 2);
	ck_assert_int_eq(find(id_of(4)), RD_RING_NONE);
	/* Of one that reaches over another, the first part. */
	put((struct rd_position){id_of(0), 0}, 1, 8, id_of(8), NULL);
	follow(id_of(0), 1, 4, 0);
	teardown();
}
END_TEST

START_TEST(test_a_page_may_know_that_nothing_follows)
{
	struct rd_ring_at at;
	struct rd_id upto = {45, 0};

	setup(NOLIMIT, 5);
	put((struct rd_position){id_of(4), 4}, 5, 4, upto, NULL);
	ck_assert_int_eq(rd_ring_find(rings, ring, id_of(4), &at), RD_RING_AT);
	ck_assert(!rd_ring_newest(ring, &at));
	ends_at(&at, upto);
	ck_assert_int_eq(rd_ring_find(rings, ring, (struct rd_id){42, 0}, &at),
			 RD_RING_AMID);
	ends_at(&at, upto);
	/* What is read from there on is the next. */
	rd_ring_append(rings, &ring, (struct rd_position){upto, 4},
		       page_of(&stream, 5, 8), &at);
	ck_assert_int_eq(rd_ring_find(rings, ring, id_of(4), &at), RD_RING_AT);
	for (size_t i = 5; i <= 7; i++)
		next_is(&at, i, i);
	teardown();
}
END_TEST

START_TEST(test_the_head_of_a_stream_tells_who_stands_before_it)
{
	const struct rd_stream_info head = {.first = id_of(6), .added = 9};
	const struct rd_position start = {rd_id_prev(id_of(6)), 5};
	struct rd_ring_at at;

	setup(NOLIMIT, 5);
	put(start, 6, 8, id_of(8), &head);
	follow(start.id, 6, 8, 5);
	ck_assert_int_eq(rd_ring_find(rings, ring, id_of(3), &at),
			 RD_RING_BEFORE);
	ck_assert_uint_eq(rd_ring_head(&at)->added, 9);
	ck_id_eq(at.is.id, start.id);
	next_is(&at, 6, 6);
	/* Behind another run, too; but only what that does not know. */
	put((struct rd_position){id_of(1), 1}, 2, 3, id_of(3), NULL);
	follow(id_of(1), 2, 3, 1);
	ck_assert_int_eq(find(id_of(0)), RD_RING_NONE);
	ck_assert_int_eq(find(id_of(3)), RD_RING_BEFORE);
	ck_assert_int_eq(find(id_of(4)), RD_RING_BEFORE);
	/* A page that begins elsewhere, because of another run, has none. */
	put((struct rd_position){rd_id_prev(id_of(3)), 2}, 3, 4, id_of(4),
	    &head);
	ck_assert_int_eq(find(id_of(0)), RD_RING_NONE);
	follow(id_of(1), 2, 4, 1);
	teardown();
}
END_TEST

/* ---- the budget ---- */

START_TEST(test_the_oldest_goes_first)
{
	setup(6 * LARGE, LARGE);
	append(&ring, 1, 20, 0);
	follow(id_of(0), 1, 20, 0); /* nothing goes before it must */
	rd_rings_shrink(rings);
	ck_assert_uint_le(rd_rings_bytes(rings), 6 * LARGE);
	ck_assert_uint_ge(rd_rings_evicted(rings), 14);
	ck_assert_uint_le(rd_rings_evicted(rings), 18);
	for (size_t i = 0; i < rd_rings_evicted(rings); i++)
		ck_assert_int_eq(find(id_of(i)), RD_RING_NONE);
	follow(id_of(rd_rings_evicted(rings)),
	       (size_t)rd_rings_evicted(rings) + 1, 20,
	       rd_rings_evicted(rings));
	teardown();
}
END_TEST

START_TEST(test_who_is_not_used_pays_first)
{
	struct rd_ring *other = NULL, *third = NULL;
	struct rd_ring_at at;

	setup(14 * LARGE, LARGE);
	append(&ring, 1, 4, 0);
	append(&other, 1, 4, 0);
	rd_rings_shrink(rings);
	ck_assert_uint_eq(rd_rings_evicted(rings), 0);
	ck_assert_int_eq(find(id_of(0)), RD_RING_AT); /* used */
	append(&third, 1, 4, 0);
	rd_rings_shrink(rings);
	ck_assert_uint_gt(rd_rings_evicted(rings), 0);
	follow(id_of(0), 1, 4, 0);
	ck_assert_int_eq(rd_ring_find(rings, other, id_of(0), &at),
			 RD_RING_NONE);
	rd_ring_free(&other);
	rd_ring_free(&third);
	/* One that has lost all is as good as new. */
	append(&other, 1, 30, 0);
	rd_rings_shrink(rings);
	ck_assert_int_eq(find(id_of(3)), RD_RING_NONE);
	ck_assert(!rd_ring_newest(ring, &at));
	append(&ring, 5, 5, 4);
	follow(id_of(4), 5, 5, 4);
	rd_ring_free(&other);
	teardown();
}
END_TEST

START_TEST(test_pages_do_not_push_out_what_was_read_lately)
{
	struct rd_ring_at at;

	setup(16 * LARGE, LARGE);
	/* What is read behind a page is none. */
	put((struct rd_position){id_of(99), U}, 100, 100, id_of(100), NULL);
	append(&ring, 101, 104, 100);
	for (size_t i = 1; i < 60; i += 2) {
		put((struct rd_position){id_of(i), U}, i + 1, i + 2,
		    id_of(i + 2), NULL);
		/* Whoever has asked for it gets it. */
		ck_assert_int_eq(rd_ring_find(rings, ring, id_of(i), &at),
				 RD_RING_AT);
		next_is(&at, i + 1, U);
		rd_rings_shrink(rings);
		ck_assert_uint_le(rd_rings_bytes(rings), 12 * LARGE);
	}
	ck_assert_int_eq(find(id_of(1)), RD_RING_NONE);
	ck_assert_int_eq(find(id_of(59)), RD_RING_AT);
	follow(id_of(100), 101, 104, 100);
	teardown();
}
END_TEST

START_TEST(test_each_ring_has_a_serial_of_its_own)
{
	uint64_t serial;

	setup(NOLIMIT, 5);
	append(&ring, 1, 3, 0);
	serial = rd_ring_serial(ring);
	append(&ring, 4, 5, 3);
	ck_assert_uint_eq(rd_ring_serial(ring), serial);
	rd_ring_free(&ring);
	ck_assert_ptr_null(ring);
	rd_ring_free(&ring);
	ck_assert_int_eq(find(id_of(3)), RD_RING_NONE);
	append(&ring, 4, 5, 3);
	ck_assert_uint_ne(rd_ring_serial(ring), serial);
	follow(id_of(3), 4, 5, 3);
	teardown();
}
END_TEST

/* ---- what messages hold ---- */

static bool same_slice(struct rd_slice a, struct rd_slice b)
{
	return (a.data == NULL) == (b.data == NULL) && rd_slice_eq(a, b);
}

static const struct {
	size_t words;
	const char *fields[8]; /* names and values; NULL: nil */
} contents[] = {
    {2, {"json", "{\"a\":1}"}},
    {2, {"json", "{no json"}},
    {2, {"msgpack", "\x01"}},
    {2, {"bin", "\xff\xfe"}},
    {2, {"text", ""}},
    {8, {"text", "x", "type", "t", "from", "f", "key", "k"}},
    {4, {"text", "x", "type", ""}},
    {6, {"foreign", "1", "", "", "nil", NULL}},
    {0, {NULL}},
};

START_TEST(test_messages_come_out_as_they_went_in)
{
	struct rd_reply fields[8], parts[2], item;
	struct rd_reply list = array(&item, 1);
	struct rd_entries entries = rd_entries_of(&list);
	struct rd_message in, out;
	struct rd_entry entry;
	struct rd_ring_at at;
	size_t n = contents[_i].words;

	setup(NOLIMIT, 5);
	for (size_t i = 0; i < n; i++)
		fields[i] = contents[_i].fields[i] == NULL
				? (struct rd_reply){.type = RD_REPLY_NIL}
				: string(rd_slice_str(contents[_i].fields[i]));
	parts[0] = string(S("10-0"));
	parts[1] = array(fields, n);
	item = array(parts, 2);
	rd_ring_append(rings, &ring, (struct rd_position){RD_ID_ZERO, 0},
		       entries, &at);
	append(&ring, 2, 2, 1);
	ck_assert_uint_gt(rd_ring_next(&at, &out), 0);
	ck_assert(rd_entries_next(&entries, &entry));
	rd_entry_message(&entry, &in);
	ck_id_eq(out.id, in.id);
	ck_assert_int_eq(out.encoding, in.encoding);
	ck_assert(same_slice(out.payload, in.payload));
	ck_assert(same_slice(out.type, in.type));
	ck_assert(same_slice(out.from, in.from));
	ck_assert(same_slice(out.key, in.key));
	ck_assert_uint_eq(out.field_count, in.field_count);
	for (size_t i = 0; i < in.field_count; i++)
		ck_assert(same_slice(out.fields[i], in.fields[i]));
	next_is(&at, 2, 2);
	teardown();
}
END_TEST

/* ---- at random ---- */

#define CHANNELS 3
#define LENGTH   120 /* entries of each */
#define STEPS    300
#define SEEDS    50

static unsigned long seed, step;
static uint64_t state;

#define check(cond)                                                            \
	ck_assert_msg((cond), "seed %lu step %lu: %s", seed, step, #cond)

static struct channel {
	struct stream stream;
	struct rd_ring *ring;
	size_t tail;        /* entries up to it have been read */
	struct rd_id since; /* all of them after this */
} channels[CHANNELS];
static size_t limit;

static size_t below(size_t n)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (size_t)(state >> 33) % n;
}

static uint64_t maybe(uint64_t count)
{
	return below(3) == 0 ? U : count;
}

static void channel_make(struct channel *ch)
{
	struct rd_id id = {1, 0};

	for (size_t i = 0; i < LENGTH; i++) {
		id = below(3) == 0 ? rd_id_next(id)
				   : (struct rd_id){id.ms + 1 + below(3), 0};
		entry_make(&ch->stream, i, id,
			   below(12) == 0 ? LARGE : below(100));
	}
	ch->ring = NULL;
	ch->tail = 0;
	ch->since = RD_ID_ZERO;
}

/* The place behind so many entries. */
static struct rd_id behind(const struct channel *ch, size_t n)
{
	return n == 0 ? RD_ID_ZERO : ch->stream.ids[n - 1];
}

/* How many stand up to here. */
static size_t stood(const struct channel *ch, struct rd_id upto)
{
	size_t n = 0;

	while (n < LENGTH && rd_id_cmp(ch->stream.ids[n], upto) <= 0)
		n++;
	return n;
}

/* Goes on from here: the next of the stream, each once, none beyond the tail,
 * none passed over; up to where. */
static struct rd_id walk(const struct channel *ch, struct rd_ring_at at)
{
	size_t n = stood(ch, at.is.id);
	struct rd_message msg;
	struct rd_id next;

	for (;;) {
		check(at.is.count == U || at.is.count == n);
		next = rd_ring_peek(&at);
		if (rd_ring_next(&at, &msg) == 0)
			break;
		check(n < ch->tail);
		check(rd_id_cmp(msg.id, ch->stream.ids[n]) == 0);
		check(rd_id_cmp(msg.id, next) == 0);
		check(rd_id_cmp(msg.id, at.is.id) == 0);
		check(rd_slice_eq(msg.payload,
				  ch->stream.entries[n].fields[1].str));
		n++;
	}
	check(rd_id_cmp(next, RD_ID_ZERO) == 0);
	check(stood(ch, at.is.id) == n);
	check(rd_id_cmp(at.is.id, behind(ch, ch->tail)) <= 0);
	return at.is.id;
}

/* Looks for any offset, and follows from there. */
static enum rd_ring_found look_for(struct channel *ch, struct rd_id id)
{
	struct rd_ring_at at;
	enum rd_ring_found found = rd_ring_find(rings, ch->ring, id, &at);
	size_t n = stood(ch, id);

	if (found == RD_RING_NONE)
		return found;
	if (found == RD_RING_BEFORE) {
		check(rd_id_cmp(rd_ring_head(&at)->first, rd_ring_peek(&at)) ==
		      0);
		check(rd_id_cmp(id, at.is.id) < 0);
	} else {
		check(rd_id_cmp(id, at.is.id) == 0);
	}
	check(found != RD_RING_AMID || n == 0 ||
	      rd_id_cmp(id, ch->stream.ids[n - 1]) != 0);
	check(rd_id_cmp(walk(ch, at), id) > 0);
	return found;
}

static void step_find(struct channel *ch)
{
	struct rd_id id = behind(ch, below(LENGTH + 1));
	size_t which = below(3);
	enum rd_ring_found found;

	id = which == 0 ? rd_id_prev(id) : which == 1 ? rd_id_next(id) : id;
	found = look_for(ch, id);
	/* Nothing was pushed out: then all that was read must be there. */
	if (limit == NOLIMIT && rd_id_cmp(id, ch->since) >= 0 &&
	    rd_id_cmp(id, behind(ch, ch->tail)) < 0)
		check(found == RD_RING_AT || found == RD_RING_AMID);
}

static void step_append(struct channel *ch)
{
	size_t from = ch->tail, n = 1 + below(8);
	struct rd_ring_at at;

	if (from + n > LENGTH)
		return;
	ch->tail += n;
	rd_ring_append(rings, &ch->ring,
		       (struct rd_position){behind(ch, from), maybe(from)},
		       page_of(&ch->stream, from, ch->tail), &at);
	check(rd_id_cmp(at.is.id, behind(ch, from)) == 0);
	check(rd_id_cmp(walk(ch, at), behind(ch, ch->tail)) == 0);
}

/* Some of it was lost, or all of it forgotten. */
static void step_skip(struct channel *ch)
{
	if (below(2) == 0)
		rd_ring_free(&ch->ring);
	else if (ch->tail + 4 < LENGTH)
		ch->tail += below(4);
	ch->since = behind(ch, ch->tail);
}

/* A page of what stands between two places, and perhaps more. */
static void step_put(struct channel *ch)
{
	size_t i = below(ch->tail + 1), n = below(12);
	size_t j = i + n < ch->tail ? i + n : ch->tail;
	struct rd_stream_info head = {.first = ch->stream.ids[i]};
	struct rd_ring_page page = {.after = {behind(ch, i), maybe(i)},
				    .upto = behind(ch, j)};

	if (i < j && below(2) == 0) {
		page.after.id = rd_id_prev(ch->stream.ids[i]);
		if (below(2) == 0)
			page.head = &head;
	}
	if (j < ch->tail && below(2) == 0) /* all that stands before the next */
		page.upto = rd_id_prev(ch->stream.ids[j]);
	page.entries = page_of(&ch->stream, below(4) == 0 && i > 0 ? i - 1 : i,
			       j + below(LENGTH - j + 1));
	rd_ring_put(rings, &ch->ring, &page);
	if (rd_id_cmp(page.after.id, page.upto) < 0)
		check(look_for(ch, page.after.id) == RD_RING_AT);
}

static void step_newest(struct channel *ch)
{
	struct rd_ring_at at;
	struct rd_id end;
	size_t n;

	if (!rd_ring_newest(ch->ring, &at))
		return;
	n = stood(ch, rd_ring_peek(&at));
	check(n > 0 && rd_id_cmp(rd_ring_peek(&at), behind(ch, n)) == 0);
	end = walk(ch, at);
	check(stood(ch, end) == n);
}

static void (*const steps[])(struct channel *ch) = {
    step_append, step_append, step_append, step_put,    step_put,
    step_put,    step_find,   step_find,   step_newest,
};

static void play(void)
{
	static const size_t limits[] = {65536, 300000, NOLIMIT};

	state = seed;
	limit = limits[below(3)];
	rings = rd_rings_new(limit);
	for (size_t i = 0; i < CHANNELS; i++)
		channel_make(&channels[i]);
	for (step = 1; step <= STEPS; step++) {
		struct channel *ch = &channels[below(CHANNELS)];

		if (below(40) == 0)
			step_skip(ch);
		else
			steps[below(COUNT(steps))](ch);
		if (below(2) == 0)
			continue;
		rd_rings_shrink(rings);
		check(rd_rings_bytes(rings) <= limit);
	}
	for (size_t i = 0; i < CHANNELS; i++)
		rd_ring_free(&channels[i].ring);
	check(rd_rings_bytes(rings) == 0);
	rd_rings_free(&rings);
}

START_TEST(test_random_rings)
{
	setup(NOLIMIT, 0);
	teardown();
	for (seed = 1; seed <= SEEDS; seed++)
		play();
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("ring");

	tcase_add_test(t, test_what_was_read_is_given_again);
	tcase_add_test(t, test_places_stay_good_while_it_grows);
	tcase_add_test(t, test_many_runs_are_one_walk);
	tcase_add_test(t, test_a_hole_is_not_crossed);
	tcase_add_test(t, test_pages_fill_what_is_missing);
	tcase_add_test(t, test_a_page_that_is_there_already_changes_nothing);
	tcase_add_test(t, test_only_what_belongs_to_a_page_is_taken);
	tcase_add_test(t, test_a_page_may_know_that_nothing_follows);
	tcase_add_test(t, test_the_head_of_a_stream_tells_who_stands_before_it);
	tcase_add_test(t, test_the_oldest_goes_first);
	tcase_add_test(t, test_who_is_not_used_pays_first);
	tcase_add_test(t, test_pages_do_not_push_out_what_was_read_lately);
	tcase_add_test(t, test_each_ring_has_a_serial_of_its_own);
	tcase_add_loop_test(t, test_messages_come_out_as_they_went_in, 0,
			    COUNT(contents));
	tcase_add_test(t, test_random_rings);
	return unit_run_case("ring", t);
}
