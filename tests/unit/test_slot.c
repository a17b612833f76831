/* SPDX-License-Identifier: MIT */
/*
 * test_slot.c -- channels and their slots; the values are those of CLUSTER
 * KEYSLOT, and of the specification of Redis Cluster.
 */
#include "src/slot.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct {
	const char *name;
	unsigned crc; /* of 65536 slots */
} known[] = {
    {"", 0},
    {"123456789", 0x31c3},
    {"a", 0x7c87},
    {"foo", 0xaf96},
    {"user1000", 0x4d73},
    {"{user1000}.following", 0x4d73},
    {"{user1000}.followers", 0x4d73},
    {"foo{user1000}bar{foo}", 0x4d73},
    {"r\xc3\xa4ume", 0x41bc},
    {"\xff\xfe\x80", 0x6e25},
};

/* Names that have no tag though they have braces. */
static const char *const whole[] = {"{}",   "foo{}{bar}", "{bar",
				    "bar}", "}bar{",      "{"};

START_TEST(test_known_values)
{
	for (size_t i = 0; i < COUNT(known); i++) {
		struct rd_slice name = rd_slice_str(known[i].name);

		ck_assert_uint_eq(rd_slot_of(name, 65536), known[i].crc);
		ck_assert_uint_eq(rd_slot_of(name, 256), known[i].crc % 256);
		ck_assert_uint_eq(rd_slot_of(name, 7), known[i].crc % 7);
		ck_assert_uint_eq(rd_slot_of(name, 1), 0);
	}
}
END_TEST

START_TEST(test_tags)
{
	struct rd_slice tag = {NULL, 0};

	for (size_t i = 0; i < COUNT(whole); i++) {
		ck_assert(!rd_slot_tag(rd_slice_str(whole[i]), &tag));
		ck_assert_ptr_null(tag.data);
	}
	ck_assert(!rd_slot_tag((struct rd_slice){NULL, 0}, &tag));
	ck_assert(rd_slot_tag(S("foo{{bar}}zap"), &tag));
	ck_slice_eq(tag, S("{bar"));
	ck_assert(rd_slot_tag(S("foo{bar}{zap}"), &tag));
	ck_slice_eq(tag, S("bar"));
	ck_assert(rd_slot_tag(S("{\0}"), &tag));
	ck_slice_eq(tag, S("\0"));
	/* A slice ends where it says, not at what stands behind. */
	ck_assert(!rd_slot_tag((struct rd_slice){"{ab}", 3}, &tag));
}
END_TEST

/* Names that differ little do not crowd in few slots. */
START_TEST(test_spread)
{
	unsigned count[256] = {0};
	char name[32];

	for (int i = 0; i < 25600; i++) {
		snprintf(name, sizeof(name), "room:%d", i);
		count[rd_slot_of(rd_slice_str(name), 256)]++;
	}
	for (size_t i = 0; i < 256; i++) {
		ck_assert_uint_gt(count[i], 50);
		ck_assert_uint_lt(count[i], 150);
	}
}
END_TEST

UNIT_MAIN("slot", test_known_values, test_tags, test_spread)
