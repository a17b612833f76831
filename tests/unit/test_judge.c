/* SPDX-License-Identifier: MIT */
/*
 * test_judge.c -- gateway/judge.c: streams that were trimmed, holed, emptied
 * or exchanged, and what is told to who stood at an offset that is gone.
 *
 * A table for each verdict, with all that a gap says; then streams at random,
 * of which the test knows what was really lost.
 */
#include "gateway/judge.h"
#include "tests/unit/unit.h"

#define U UINT64_MAX /* a count that nobody knows, the last seq of an ms */

#define ck_id_eq(a, b)                                                         \
	do {                                                                   \
		ck_assert_uint_eq((a).ms, (b).ms);                             \
		ck_assert_uint_eq((a).seq, (b).seq);                           \
	} while (0)

/* Of entries 1-0 to 9-0. */
static const struct rd_stream_info whole = {
    .last = {9, 0}, .first = {1, 0}, .length = 9, .added = 9, .counts = true};
static const struct rd_stream_info trimmed = {/* 1 to 4 are gone */
					      .last = {9, 0},
					      .first = {5, 0},
					      .length = 5,
					      .added = 9,
					      .counts = true};
static const struct rd_stream_info holed = {/* 4 to 6 were deleted */
					    .last = {9, 0},    .first = {1, 0},
					    .deleted = {6, 0}, .length = 6,
					    .added = 9,        .counts = true};
static const struct rd_stream_info beheaded = {/* 1 to 3 were deleted */
					       .last = {9, 0},
					       .first = {4, 0},
					       .deleted = {3, 0},
					       .length = 6,
					       .added = 9,
					       .counts = true};
static const struct rd_stream_info cut = {/* 7 to 9 were deleted */
					  .last = {9, 0},    .first = {1, 0},
					  .deleted = {9, 0}, .length = 6,
					  .added = 9,        .counts = true};
static const struct rd_stream_info both = {/* 1, 2 trimmed, 5, 6 deleted */
					   .last = {9, 0},    .first = {3, 0},
					   .deleted = {6, 0}, .length = 5,
					   .added = 9,        .counts = true};
static const struct rd_stream_info empty = {/* all trimmed */
					    .last = {9, 0},
					    .added = 9,
					    .counts = true};
static const struct rd_stream_info never = {.counts = true};
static const struct rd_stream_info old = {/* a server without counts */
					  .last = {9, 0},
					  .first = {5, 0},
					  .length = 5};

/* ---- was anything lost? ---- */

struct judgement {
	const struct rd_stream_info *info;
	struct rd_position from;
	struct rd_id next;
	enum rd_verdict verdict;
	struct rd_id first, to; /* of the gap */
	uint64_t count, lost;
};

static const struct judgement judgements[] = {
    /* Nothing came after it. */
    {&whole, {{9, 0}, 9}, {0, 0}, RD_VERDICT_WHOLE, {0, 0}, {9, 0}, 9, U},
    {&empty, {{9, 0}, U}, {0, 0}, RD_VERDICT_WHOLE, {0, 0}, {9, 0}, 9, U},
    {&cut, {{9, 0}, 9}, {0, 0}, RD_VERDICT_WHOLE, {0, 0}, {9, 0}, 9, U},
    {&old, {{9, 0}, U}, {0, 0}, RD_VERDICT_WHOLE, {0, 0}, {9, 0}, U, U},
    {&never, {{0, 0}, U}, {0, 0}, RD_VERDICT_WHOLE, {0, 0}, {0, 0}, 0, U},
    {&never, {{0, 0}, 0}, {0, 0}, RD_VERDICT_WHOLE, {0, 0}, {0, 0}, 0, U},
    /* No id lies between it and the next. */
    {&trimmed, {{4, U}, U}, {5, 0}, RD_VERDICT_WHOLE, {5, 0}, {4, U}, 4, U},
    {&trimmed, {{4, U}, 4}, {5, 0}, RD_VERDICT_WHOLE, {5, 0}, {4, U}, 4, U},
    {&holed, {{6, U}, U}, {7, 0}, RD_VERDICT_WHOLE, {7, 0}, {6, U}, U, U},
    {&old, {{4, U}, U}, {5, 0}, RD_VERDICT_WHOLE, {5, 0}, {4, U}, U, U},
    /* Trimmed, and exactly up to it. */
    {&trimmed, {{4, 0}, 4}, {5, 0}, RD_VERDICT_WHOLE, {5, 0}, {4, U}, 4, U},
    {&beheaded, {{3, 0}, 3}, {4, 0}, RD_VERDICT_WHOLE, {4, 0}, {3, U}, 3, U},
    /* Trimmed beyond it, counted. */
    {&trimmed, {{3, 0}, 3}, {5, 0}, RD_VERDICT_GAP, {5, 0}, {4, U}, 4, 1},
    {&trimmed, {{1, 0}, 1}, {5, 0}, RD_VERDICT_GAP, {5, 0}, {4, U}, 4, 3},
    {&trimmed, {{2, U}, 2}, {5, 0}, RD_VERDICT_GAP, {5, 0}, {4, U}, 4, 2},
    {&empty, {{7, 0}, 7}, {0, 0}, RD_VERDICT_GAP, {0, 0}, {9, 0}, 9, 2},
    {&both, {{2, 0}, 2}, {3, 0}, RD_VERDICT_GAP, {3, 0}, {2, U}, U, 2},
    {&both, {{1, 0}, 1}, {3, 0}, RD_VERDICT_GAP, {3, 0}, {2, U}, U, 3},
    /* The same where nobody has counted. */
    {&trimmed, {{4, 0}, U}, {5, 0}, RD_VERDICT_GAP, {5, 0}, {4, U}, 4, U},
    {&empty, {{7, 0}, U}, {0, 0}, RD_VERDICT_GAP, {0, 0}, {9, 0}, 9, U},
    {&both, {{2, 0}, U}, {3, 0}, RD_VERDICT_GAP, {3, 0}, {2, U}, U, U},
    /* Never an entry: nothing went, or less than the count says. */
    {&whole, {{0, 5}, U}, {1, 0}, RD_VERDICT_STRANGE, {1, 0}, {0, U}, 0, U},
    {&trimmed, {{3, 0}, 5}, {5, 0}, RD_VERDICT_STRANGE, {5, 0}, {4, U}, 4, U},
    {&empty, {{7, 0}, 10}, {0, 0}, RD_VERDICT_STRANGE, {0, 0}, {9, 0}, 9, U},
    /* Beyond the last one: all of the stream follows. */
    {&whole, {{12, 0}, 12}, {0, 0}, RD_VERDICT_FOREIGN, {1, 0}, {0, U}, 0, U},
    {&trimmed, {{9, 1}, U}, {0, 0}, RD_VERDICT_FOREIGN, {5, 0}, {4, U}, 4, U},
    {&holed, {{12, 0}, 3}, {0, 0}, RD_VERDICT_FOREIGN, {1, 0}, {0, U}, U, U},
    {&empty, {{12, 0}, 3}, {0, 0}, RD_VERDICT_FOREIGN, {0, 0}, {9, 0}, 9, U},
    {&never, {{12, 0}, U}, {0, 0}, RD_VERDICT_FOREIGN, {0, 0}, {0, 0}, 0, U},
    {&old, {{12, 0}, 12}, {0, 0}, RD_VERDICT_FOREIGN, {5, 0}, {4, U}, U, U},
    /* Between two: at, below and above the largest that was deleted. */
    {&holed, {{6, 0}, 6}, {7, 0}, RD_VERDICT_WHOLE, {7, 0}, {6, U}, U, U},
    {&holed, {{5, 0}, 5}, {7, 0}, RD_VERDICT_GAP, {7, 0}, {6, U}, U, U},
    {&holed, {{4, 0}, U}, {7, 0}, RD_VERDICT_GAP, {7, 0}, {6, U}, U, U},
    {&holed, {{7, 5}, U}, {8, 0}, RD_VERDICT_STRANGE, {8, 0}, {7, U}, U, U},
    {&cut, {{8, 0}, 8}, {0, 0}, RD_VERDICT_GAP, {0, 0}, {9, 0}, 9, U},
    /* A server that does not count. */
    {&old, {{4, 0}, 4}, {5, 0}, RD_VERDICT_GAP, {5, 0}, {4, U}, U, U},
    {&old, {{7, 5}, U}, {8, 0}, RD_VERDICT_GAP, {8, 0}, {7, U}, U, U},
    /* From the beginning: who has counted may have missed something. */
    {&trimmed, {{0, 0}, U}, {5, 0}, RD_VERDICT_WHOLE, {5, 0}, {4, U}, 4, U},
    {&trimmed, {{0, 0}, 0}, {5, 0}, RD_VERDICT_GAP, {5, 0}, {4, U}, 4, 4},
    {&trimmed, {{0, 0}, 4}, {5, 0}, RD_VERDICT_WHOLE, {5, 0}, {4, U}, 4, U},
    {&trimmed, {{0, 0}, 5}, {5, 0}, RD_VERDICT_STRANGE, {5, 0}, {4, U}, 4, U},
    {&whole, {{0, 0}, 0}, {1, 0}, RD_VERDICT_WHOLE, {1, 0}, {0, U}, 0, U},
    {&empty, {{0, 0}, 0}, {0, 0}, RD_VERDICT_GAP, {0, 0}, {9, 0}, 9, 9},
    {&empty, {{0, 0}, U}, {0, 0}, RD_VERDICT_WHOLE, {0, 0}, {9, 0}, 9, U},
    {&old, {{0, 0}, 0}, {5, 0}, RD_VERDICT_WHOLE, {5, 0}, {4, U}, U, U},
};

START_TEST(test_verdicts)
{
	const struct judgement *j = &judgements[_i];
	struct rd_gap gap;

	ck_assert_int_eq(rd_judge(j->info, j->from, j->next, &gap), j->verdict);
	ck_id_eq(gap.from, j->from.id);
	ck_id_eq(gap.first, j->first);
	ck_id_eq(gap.to, j->to);
	ck_assert_uint_eq(gap.count, j->count);
	ck_assert_uint_eq(gap.lost, j->lost);
}
END_TEST

/* ---- where to begin ---- */

static const struct {
	const struct rd_stream_info *info;
	struct rd_place place;
	struct rd_id at;
	struct rd_position start;
} starts[] = {
    {&whole, {.kind = RD_PLACE_NEW}, {0, 0}, {{9, 0}, 9}},
    {&empty, {.kind = RD_PLACE_NEW}, {0, 0}, {{9, 0}, 9}},
    {&never, {.kind = RD_PLACE_NEW}, {0, 0}, {{0, 0}, 0}},
    {&old, {.kind = RD_PLACE_NEW}, {0, 0}, {{9, 0}, U}},
    {&whole, {.kind = RD_PLACE_AFTER}, {0, 0}, {{0, 0}, 0}},
    {&trimmed, {.kind = RD_PLACE_AFTER}, {0, 0}, {{0, 0}, 4}},
    {&holed, {.kind = RD_PLACE_AFTER}, {0, 0}, {{0, 0}, U}},
    {&old, {.kind = RD_PLACE_AFTER}, {0, 0}, {{0, 0}, U}},
    {&whole, {.kind = RD_PLACE_LAST, .count = 3}, {6, 0}, {{6, 0}, 6}},
    {&trimmed, {.kind = RD_PLACE_LAST, .count = 1}, {8, 0}, {{8, 0}, 8}},
    {&trimmed, {.kind = RD_PLACE_LAST, .count = 5}, {0, 0}, {{0, 0}, 4}},
    {&holed, {.kind = RD_PLACE_LAST, .count = 2}, {7, 0}, {{7, 0}, 7}},
    {&holed, {.kind = RD_PLACE_LAST, .count = 3}, {3, 0}, {{3, 0}, U}},
    {&holed, {.kind = RD_PLACE_LAST, .count = 99}, {0, 0}, {{0, 0}, U}},
    {&old, {.kind = RD_PLACE_LAST, .count = 3}, {6, 0}, {{6, 0}, U}},
    {&whole, {RD_PLACE_SINCE, {7, 0}, 0}, {6, 0}, {{6, 0}, U}},
    {&whole, {RD_PLACE_SINCE, {9, 0}, 0}, {8, 0}, {{8, 0}, U}},
    {&trimmed, {RD_PLACE_SINCE, {2, 0}, 0}, {0, 0}, {{0, 0}, 4}},
    {&old, {RD_PLACE_SINCE, {2, 0}, 0}, {0, 0}, {{0, 0}, U}},
    {&never, {RD_PLACE_SINCE, {0, 0}, 0}, {0, 0}, {{0, 0}, 0}},
    /* A time that is still to come. */
    {&whole, {RD_PLACE_SINCE, {12, 0}, 0}, {9, 0}, {{11, U}, U}},
    {&empty, {RD_PLACE_SINCE, {12, 0}, 0}, {0, 0}, {{11, U}, U}},
    {&never, {RD_PLACE_SINCE, {12, 0}, 0}, {0, 0}, {{11, U}, U}},
};

START_TEST(test_starts)
{
	struct rd_position at =
	    rd_info_start(starts[_i].info, &starts[_i].place, starts[_i].at);

	ck_id_eq(at.id, starts[_i].start.id);
	ck_assert_uint_eq(at.count, starts[_i].start.count);
}
END_TEST

START_TEST(test_how_many_came_before_the_first)
{
	ck_assert_uint_eq(rd_info_base(&whole), 0);
	ck_assert_uint_eq(rd_info_base(&trimmed), 4);
	ck_assert_uint_eq(rd_info_base(&beheaded), 3);
	ck_assert_uint_eq(rd_info_base(&holed), U);
	ck_assert_uint_eq(rd_info_base(&both), U);
	ck_assert_uint_eq(rd_info_base(&empty), 9);
	ck_assert_uint_eq(rd_info_base(&never), 0);
	ck_assert_uint_eq(rd_info_base(&old), U);
}
END_TEST

START_TEST(test_where_one_stands_who_goes_on)
{
	ck_id_eq(rd_info_before(&whole, ((struct rd_id){5, 3})),
		 ((struct rd_id){5, 2}));
	ck_id_eq(rd_info_before(&whole, ((struct rd_id){5, 0})),
		 ((struct rd_id){4, U}));
	ck_id_eq(rd_info_before(&whole, RD_ID_ZERO), whole.last);
	ck_id_eq(rd_info_before(&never, RD_ID_ZERO), RD_ID_ZERO);
}
END_TEST

/* ---- at random ---- */

#define ENTRIES 12
#define SEEDS   20000

static unsigned long seed;
static uint64_t state;

#define check(cond) ck_assert_msg((cond), "seed %lu: %s", seed, #cond)

static unsigned below(unsigned n)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(state >> 33) % n;
}

/* A stream, and all that it has ever had. */
static struct {
	struct rd_id ids[ENTRIES];
	bool gone[ENTRIES];
	struct rd_stream_info info;
} stream;

static void stream_make(bool holes)
{
	struct rd_id id = {1, 0};
	unsigned n = below(ENTRIES + 1), cut_to = below(n + 1);
	struct rd_stream_info *info = &stream.info;

	*info = (struct rd_stream_info){.added = n, .counts = true};
	for (unsigned i = 0; i < n; i++) {
		id = below(3) == 0 ? rd_id_next(id)
				   : (struct rd_id){id.ms + 1, 0};
		stream.ids[i] = info->last = id;
		stream.gone[i] = holes && below(3) == 0;
		if (stream.gone[i])
			info->deleted = id;
	}
	/* XDEL may have come before or after XTRIM: either takes what the
	 * other has left. */
	for (unsigned i = 0; i < cut_to; i++)
		stream.gone[i] = true;
	for (unsigned i = n; i > 0; i--) {
		if (stream.gone[i - 1])
			continue;
		info->length++;
		info->first = stream.ids[i - 1];
	}
}

/* How many of them stood up to here. */
static uint64_t stood(struct rd_id upto)
{
	uint64_t n = 0;

	while (n < stream.info.added && rd_id_cmp(stream.ids[n], upto) <= 0)
		n++;
	return n;
}

/* How many are gone that stood after here; of them, before the next one that
 * is there. */
static uint64_t lost_after(struct rd_id from, uint64_t *before_out,
			   struct rd_id *next_out)
{
	uint64_t lost = 0;

	*before_out = 0;
	*next_out = RD_ID_ZERO;
	for (uint64_t i = stood(from); i < stream.info.added; i++) {
		if (stream.gone[i]) {
			lost++;
		} else if (rd_id_cmp(*next_out, RD_ID_ZERO) == 0) {
			*next_out = stream.ids[i];
			*before_out = lost;
		}
	}
	if (rd_id_cmp(*next_out, RD_ID_ZERO) == 0)
		*before_out = lost;
	return lost;
}

static bool is_there(struct rd_id id)
{
	uint64_t n = stood(id);

	return n > 0 && rd_id_cmp(stream.ids[n - 1], id) == 0 &&
	       !stream.gone[n - 1];
}

static void judge_one(struct rd_position from, bool holes)
{
	struct rd_id next;
	uint64_t before, lost = lost_after(from.id, &before, &next);
	struct rd_gap gap;
	enum rd_verdict verdict = rd_judge(&stream.info, from, next, &gap);

	check(verdict == RD_VERDICT_WHOLE || verdict == RD_VERDICT_GAP);
	check(verdict == RD_VERDICT_GAP || before == 0);
	if (from.count != U && !holes)
		check(verdict == RD_VERDICT_WHOLE || lost > 0);
	check(gap.lost == U || gap.lost == lost);
	check(gap.count == U || gap.count == stood(gap.to));
	check(rd_id_cmp(gap.first, next) == 0);
	check(rd_id_cmp(gap.to, from.id) >= 0);
}

/* The last n: either it is told truly how many came before, or nobody knows. */
static void start_one(uint64_t n)
{
	const struct rd_place place = {.kind = RD_PLACE_LAST, .count = n};
	struct rd_id at = RD_ID_ZERO, first = stream.info.first;
	struct rd_position start;
	uint64_t i = stream.info.added;

	while (i > 0 && n > 0)
		n -= !stream.gone[--i];
	while (i > 0 && stream.gone[i - 1])
		i--;
	if (n == 0 && i > 0)
		at = stream.ids[i - 1];
	start = rd_info_start(&stream.info, &place, at);
	check(rd_id_cmp(start.id, at) == 0);
	if (rd_id_cmp(at, RD_ID_ZERO) == 0)
		at = rd_id_cmp(first, at) == 0 ? stream.info.last
					       : rd_id_prev(first);
	check(start.count == U || start.count == stood(at));
}

/* Whoever stood at an entry, or directly before one, is never told that
 * nothing was lost where something was, nor a false number. */
START_TEST(test_random_streams)
{
	for (seed = 1; seed <= SEEDS; seed++) {
		bool holes = seed % 2 == 0;
		struct rd_id id = {0, 0};

		state = seed;
		stream_make(holes);
		start_one(1 + below(ENTRIES));
		if (stream.info.added > 0)
			id = stream.ids[below((unsigned)stream.info.added)];
		if (below(2) == 0)
			id = rd_id_prev(id);
		if (is_there(id))
			continue;
		judge_one((struct rd_position){id, stood(id)}, holes);
		judge_one((struct rd_position){id, U}, holes);
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("judge");

	tcase_add_loop_test(t, test_verdicts, 0, COUNT(judgements));
	tcase_add_loop_test(t, test_starts, 0, COUNT(starts));
	tcase_add_test(t, test_how_many_came_before_the_first);
	tcase_add_test(t, test_where_one_stands_who_goes_on);
	tcase_add_test(t, test_random_streams);
	return unit_run_case("judge", t);
}
