/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pack.c -- anything at all into src/pack.c.
 *
 * What is well formed must be transcoded or refused as a whole, never in part;
 * what comes out must be JSON.  The values of members are well formed
 * themselves, and lie in the input.
 */
#include "src/json.h"
#include "src/pack.h"
#include "src/utf8.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_json(struct rd_slice bytes, bool valid)
{
	struct rd_buf text = RD_BUF_INIT;
	int err = rd_pack_to_json(bytes, &text);

	assert((err == RD_EFORMAT) == !valid);
	if (err != RD_OK)
		assert(text.len == 0);
	/* JSON here has no NUL in a name, which MessagePack may hold. */
	else if (strstr(rd_buf_text(&text), "\\u0000") == NULL)
		assert(rd_json_valid(rd_buf_slice(&text)));
	rd_buf_fini(&text);
}

static void check_members(struct rd_slice bytes, bool valid)
{
	struct rd_members m = {0};

	if (rd_pack_members(bytes, &m) == RD_OK) {
		/* The map does not count. */
		for (size_t i = 0; !valid && i < m.count; i++)
			valid = !rd_pack_within(m.items[i].raw,
						RD_PACK_DEPTH_MAX - 1);
		assert(valid);
		for (size_t i = 0; i < m.count; i++) {
			const struct rd_member *member = &m.items[i];

			assert(rd_utf8_valid(member->name));
			assert(member->raw.data >= bytes.data);
			assert(member->raw.data + member->raw.len <=
			       bytes.data + bytes.len);
			assert(rd_pack_valid(member->raw));
			if (member->kind == RD_KIND_STRING)
				assert(rd_utf8_valid(member->text));
		}
	}
	rd_members_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_slice bytes = {(const char *)data, len};
	bool valid = rd_pack_valid(bytes);

	check_json(bytes, valid);
	check_members(bytes, valid);
	return 0;
}
