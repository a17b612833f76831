/* SPDX-License-Identifier: MIT */
/*
 * fuzz_message.c -- any entry at all into src/message.c.
 *
 * The input is names and values, each behind one byte of length.  Whatever an
 * entry holds, it is understood, and both forms that are shown of it are well
 * formed.
 */
#include "src/json.h"
#include "src/message.h"
#include "src/pack.h"
#include "src/utf8.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MAX_SLICES 64

static void check_read(const struct rd_message *msg)
{
	assert(rd_utf8_valid(msg->type));
	assert(rd_utf8_valid(msg->from));
	assert(rd_utf8_valid(msg->key));
	assert(msg->encoding == RD_ENC_FIELDS || msg->field_count == 0);
	if (msg->encoding == RD_ENC_JSON)
		assert(rd_json_valid(msg->payload));
	if (msg->encoding == RD_ENC_TEXT)
		assert(rd_utf8_valid(msg->payload));
	if (msg->encoding == RD_ENC_MSGPACK)
		assert(rd_pack_valid(msg->payload));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_slice fields[MAX_SLICES];
	struct rd_buf json = RD_BUF_INIT, pack = RD_BUF_INIT;
	struct rd_message msg;
	size_t count = 0, at = 0;

	while (at < len && count < MAX_SLICES) {
		size_t n = data[at++];

		n = n < len - at ? n : len - at;
		fields[count++] = (struct rd_slice){(const char *)data + at, n};
		at += n;
	}
	rd_message_read(RD_ID_ZERO, fields, count, &msg);
	check_read(&msg);
	rd_message_add_json(&msg, &json);
	/* JSON here has no NUL in a name, which fields may hold. */
	if (strstr(rd_buf_text(&json), "\\u0000") == NULL)
		assert(rd_json_valid(rd_buf_slice(&json)));
	rd_message_add_pack(&msg, &pack);
	assert(rd_pack_valid(rd_buf_slice(&pack)));
	rd_buf_fini(&json);
	rd_buf_fini(&pack);
	return 0;
}
