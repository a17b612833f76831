/* SPDX-License-Identifier: MIT */
/*
 * fuzz_json.c -- anything at all into src/json.c.
 *
 * Whether it is JSON is asked of jansson, too, and both must agree.
 *
 * The scanner relies on that verdict; so whatever is judged to be JSON is
 * cut, decoded and transcoded here, and must come out as what it was: each
 * value of a member is JSON itself, a string that is written again reads the
 * same, and MessagePack made of the text gives a text that makes the same
 * MessagePack.  What is not JSON must be refused by all functions alike.
 */
#include "src/json.h"
#include "src/pack.h"
#include "src/utf8.h"

#include <jansson.h>

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool is_inside(struct rd_slice part, struct rd_slice whole)
{
	return part.data >= whole.data &&
	       part.data + part.len <= whole.data + whole.len;
}

static void check_string(struct rd_slice s)
{
	struct rd_buf literal = RD_BUF_INIT;
	struct rd_members again = {0};
	int err;

	assert(rd_utf8_valid(s));
	rd_buf_addc(&literal, '[');
	rd_json_add_string(&literal, s);
	rd_buf_addc(&literal, ']');
	err = rd_json_elements(rd_buf_slice(&literal), &again);
	assert(err == RD_OK && again.count == 1);
	assert(rd_slice_eq(again.items[0].text, s));
	rd_members_fini(&again);
	rd_buf_fini(&literal);
}

static void check_members(const struct rd_members *m, struct rd_slice text)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct rd_member *member = &m->items[i];

		assert(is_inside(member->raw, text));
		assert(rd_json_valid(member->raw));
		check_string(member->name);
		if (member->kind == RD_KIND_STRING)
			check_string(member->text);
		assert(member->kind != RD_KIND_BYTES &&
		       member->kind != RD_KIND_OTHER);
	}
}

/* The second opinion.  jansson takes a NUL behind the value for the end of the
 * text, and refuses integers beyond int64_t unless they are to be reals. */
static bool jansson_valid(struct rd_slice text)
{
	size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_error_t error;
	json_t *tree;

	if (text.len == 0 || memchr(text.data, '\0', text.len) != NULL)
		return false;
	tree = json_loadb(text.data, text.len, flags, &error);
	if (tree == NULL &&
	    json_error_code(&error) == json_error_numeric_overflow)
		tree = json_loadb(text.data, text.len,
				  flags | JSON_DECODE_INT_AS_REAL, &error);
	json_decref(tree);
	return tree != NULL;
}

static void check_pack(struct rd_slice text, bool valid)
{
	struct rd_buf one = RD_BUF_INIT, two = RD_BUF_INIT, back = RD_BUF_INIT;
	int err = rd_json_to_pack(text, &one);

	assert((err == RD_OK) == valid);
	/* MessagePack may not be nested as deep as JSON. */
	if (valid && rd_pack_valid(rd_buf_slice(&one))) {
		err = rd_pack_to_json(rd_buf_slice(&one), &back);
		assert(err == RD_OK);
		err = rd_json_to_pack(rd_buf_slice(&back), &two);
		assert(err == RD_OK);
		assert(rd_slice_eq(rd_buf_slice(&one), rd_buf_slice(&two)));
	}
	rd_buf_fini(&one);
	rd_buf_fini(&two);
	rd_buf_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_slice text = {(const char *)data, len};
	struct rd_members m = {0};
	bool valid = rd_json_valid(text);

	assert(valid == jansson_valid(text));
	check_pack(text, valid);
	if (rd_json_members(text, &m) == RD_OK) {
		assert(valid);
		check_members(&m, text);
	}
	if (rd_json_elements(text, &m) == RD_OK) {
		assert(valid);
		check_members(&m, text);
	}
	rd_members_fini(&m);
	return 0;
}
