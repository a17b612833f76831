/* SPDX-License-Identifier: MIT */
/*
 * test_frame.c -- what the gateway says, byte for byte, with its frame header.
 */
#include "gateway/frame.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static struct rd_buf out;

/* The payload of the one frame in out, whose header must be right. */
static struct rd_slice payload(int opcode)
{
	const unsigned char *b = (const unsigned char *)rd_buf_data(&out);
	size_t len = b[1], head = 2;

	ck_assert_int_eq(b[0], 0x80 | opcode);
	if (len == 126) {
		len = (size_t)b[2] << 8 | b[3];
		ck_assert_uint_ge(len, 126);
		head = 4;
	}
	ck_assert_uint_eq(out.len, head + len);
	return (struct rd_slice){rd_buf_data(&out) + head, len};
}

static void expect(int opcode, const char *text)
{
	struct rd_slice p = payload(opcode);
	char *copy = strndup(p.data, p.len);

	ck_assert_str_eq(copy, text);
	free(copy);
	rd_buf_fini(&out);
}

static const struct rd_request with_id = {.has_id = true, .id = 5};
static const struct rd_request without_id = {.has_id = false};

START_TEST(replies_are_as_written_down)
{
	struct rd_slice channel = rd_slice_str("r\"1");
	struct rd_id id = {17, 2};
	struct rd_position at = {id, 9}, vague = {id, RD_COUNT_UNKNOWN};
	struct rd_gap gap = {id, {18, 0}, {17, 9}, 12, 3};

	rd_frame_subscribed(&out, RD_CODEC_JSON, 1, channel, at, "ep", false);
	expect(1, "{\"id\":1,\"ok\":{\"channel\":\"r\\\"1\",\"offset\":"
		  "\"17-2\",\"count\":9,\"epoch\":\"ep\"}}");
	rd_frame_subscribed(&out, RD_CODEC_JSON, 1, channel, vague, NULL, true);
	expect(1, "{\"id\":1,\"ok\":{\"channel\":\"r\\\"1\",\"offset\":"
		  "\"17-2\",\"count\":null,\"epoch\":null,"
		  "\"already\":true}}");
	rd_frame_published(&out, RD_CODEC_JSON, 2, id);
	expect(1, "{\"id\":2,\"ok\":{\"offset\":\"17-2\"}}");
	rd_frame_called(&out, RD_CODEC_JSON, 3,
			&(struct rd_message){.encoding = RD_ENC_BIN,
					     .payload = {"\xff", 1}});
	expect(1, "{\"id\":3,\"ok\":{\"type\":null,\"data64\":\"/w==\"}}");
	rd_frame_direct(&out, RD_CODEC_JSON,
			&(struct rd_message){.encoding = RD_ENC_TEXT,
					     .payload = {"a\"b", 3},
					     .type = {"T", 1}});
	expect(1, "{\"push\":\"direct\",\"type\":\"T\",\"data\":\"a\\\"b\"}");
	rd_frame_subscription(&out, RD_CODEC_JSON, channel, at, NULL);
	expect(1, "{\"push\":\"subscribed\",\"channel\":\"r\\\"1\","
		  "\"offset\":\"17-2\",\"count\":9,\"epoch\":null}");
	rd_frame_subscription_end(&out, RD_CODEC_JSON, channel, "why");
	expect(1, "{\"push\":\"unsubscribed\",\"channel\":\"r\\\"1\","
		  "\"reason\":\"why\"}");
	rd_frame_error(&out, RD_CODEC_JSON, &with_id, RD_FAULT_BUSY, "full", 0);
	expect(1, "{\"id\":5,\"error\":{\"code\":\"busy\",\"message\":\"full\","
		  "\"retry\":true}}");
	rd_frame_error(&out, RD_CODEC_JSON, &without_id, RD_FAULT_LIMIT, "no",
		       0);
	expect(1, "{\"id\":null,\"error\":{\"code\":\"limit\",\"message\":"
		  "\"no\",\"retry\":false}}");
	rd_frame_gap(&out, RD_CODEC_JSON, channel, &gap, "ep");
	expect(1, "{\"push\":\"gap\",\"channel\":\"r\\\"1\",\"from\":\"17-2\","
		  "\"first\":\"18-0\",\"lost\":3,\"offset\":\"17-9\","
		  "\"count\":12,\"epoch\":\"ep\"}");
	gap = (struct rd_gap){
	    .from = id, .lost = RD_COUNT_UNKNOWN, .count = RD_COUNT_UNKNOWN};
	rd_frame_gap(&out, RD_CODEC_JSON, channel, &gap, "ep");
	expect(1, "{\"push\":\"gap\",\"channel\":\"r\\\"1\",\"from\":\"17-2\","
		  "\"first\":null,\"lost\":null,\"offset\":\"0-0\","
		  "\"count\":null,"
		  "\"epoch\":\"ep\"}");
}
END_TEST

static const struct {
	struct rd_message msg;
	const char *row;
} rows[] = {
    {{.id = {1, 0}, .encoding = RD_ENC_JSON, .payload = {"{\"a\": 1}", 8}},
     "[\"1-0\",null,{\"a\": 1}]"},
    {{.id = {1, 1},
      .encoding = RD_ENC_TEXT,
      .payload = {"q\"\n", 3},
      .type = {"T", 1}},
     "[\"1-1\",\"T\",\"q\\\"\\n\"]"},
    {{.id = {1, 2}, .encoding = RD_ENC_BIN, .payload = {"\0\1\2\xff", 4}},
     "[\"1-2\",null,null,{\"data64\":\"AAEC/w==\"}]"},
    {{.id = {1, 3}, .encoding = RD_ENC_BIN, .payload = {"", 0}},
     "[\"1-3\",null,null,{\"data64\":\"\"}]"},
    {{.id = {1, 4}, .encoding = RD_ENC_MSGPACK, .payload = {"\x93\1\2\3", 4}},
     "[\"1-4\",null,[1,2,3]]"},
    {{.id = {1, 5}, .encoding = RD_ENC_MSGPACK, .payload = {"\xc4\1\0", 3}},
     "[\"1-5\",null,null,{\"msgpack64\":\"xAEA\"}]"},
    {{.id = {1, 6},
      .encoding = RD_ENC_TEXT,
      .payload = {"x", 1},
      .from = {"alice", 5},
      .key = {"k1", 2}},
     "[\"1-6\",null,\"x\",{\"from\":\"alice\",\"key\":\"k1\"}]"},
};

START_TEST(messages_are_rows)
{
	struct rd_frame_list list;
	char text[256];

	rd_frame_list_begin(&list, &out, RD_CODEC_JSON);
	rd_frame_list_add(&list, &rows[_i].msg);
	rd_frame_list_push(&list, rd_slice_str("c"));
	snprintf(text, sizeof(text),
		 "{\"push\":\"messages\",\"channel\":\"c\",\"messages\":[%s]}",
		 rows[_i].row);
	expect(1, text);
}
END_TEST

START_TEST(many_messages_share_a_frame)
{
	struct rd_frame_list list;

	rd_frame_list_begin(&list, &out, RD_CODEC_JSON);
	rd_frame_list_add(&list, &rows[0].msg);
	rd_frame_list_add(&list, &rows[4].msg);
	rd_frame_list_reply(&list, 9, rd_slice_str("c"), true);
	expect(1, "{\"id\":9,\"ok\":{\"channel\":\"c\",\"messages\":["
		  "[\"1-0\",null,{\"a\": 1}],[\"1-4\",null,[1,2,3]]],"
		  "\"more\":true}}");
	rd_frame_list_begin(&list, &out, RD_CODEC_JSON);
	rd_frame_list_push(&list, rd_slice_str("c"));
	ck_assert_uint_eq(out.len, 0);
}
END_TEST

START_TEST(messagepack_counts_its_members)
{
	static const char expected[] = "\x83\xa4push\xa8messages\xa7"
				       "channel\xa1"
				       "c\xa8messages\x91\x93\xa3"
				       "1-4\xc0\x93\1\2\3";
	struct rd_frame_list list;

	rd_frame_list_begin(&list, &out, RD_CODEC_MSGPACK);
	rd_frame_list_add(&list, &rows[4].msg);
	rd_frame_list_push(&list, rd_slice_str("c"));
	ck_assert(rd_slice_eq(
	    payload(2), (struct rd_slice){expected, sizeof(expected) - 1}));
	rd_buf_fini(&out);
}
END_TEST

START_TEST(plain_is_the_payload_alone)
{
	struct rd_frame_list list;

	rd_frame_list_begin(&list, &out, RD_CODEC_PLAIN);
	rd_frame_list_add(&list, &rows[0].msg);
	rd_frame_list_add(&list, &rows[2].msg);
	rd_frame_list_push(&list, rd_slice_str("c"));
	ck_assert(rd_slice_eq(
	    rd_buf_slice(&out),
	    (struct rd_slice){"\x81\x08{\"a\": 1}\x82\x04\0\1\2\xff", 16}));
	rd_buf_fini(&out);
}
END_TEST

static void expect_lines(const char *text)
{
	ck_assert_str_eq(rd_buf_text(&out), text);
	rd_buf_fini(&out);
}

START_TEST(events_are_lines)
{
	struct rd_message msg = {.id = {7, 1},
				 .encoding = RD_ENC_TEXT,
				 .payload = {"a\n\r\nb\rc", 7},
				 .type = {"T", 1}};

	rd_frame_event(&out, &msg);
	expect_lines("id: 7-1\nevent: T\ndata: a\ndata: \ndata: b\n"
		     "data: c\n\n");
	msg.type = rd_slice_str("T\ndata: x");
	msg.payload = rd_slice_str("");
	msg.id = RD_ID_ZERO;
	rd_frame_event(&out, &msg);
	expect_lines("data: \n\n");
	msg.encoding = RD_ENC_BIN;
	msg.payload = (struct rd_slice){"\n\xff", 2};
	rd_frame_event(&out, &msg);
	expect_lines("data: {\"data64\":\"Cv8=\"}\n\n");
}
END_TEST

START_TEST(a_stream_begins_and_tells_gaps)
{
	struct rd_gap gap = {{17, 2}, {18, 0}, {17, 9}, 12, 3};

	rd_frame_event_start(&out, (struct rd_id){17, 2}, 1200);
	expect_lines("retry: 1200\nid: 17-2\n\n");
	rd_frame_event_start(&out, RD_ID_ZERO, 1);
	expect_lines("retry: 1\n\n");
	rd_frame_event_gap(&out, &gap);
	expect_lines(
	    "id: 17-9\nevent: redistribute.gap\ndata: {\"from\":\"17-2\","
	    "\"first\":\"18-0\",\"lost\":3}\n\n");
	gap.first = RD_ID_ZERO;
	gap.lost = RD_COUNT_UNKNOWN;
	rd_frame_event_gap(&out, &gap);
	expect_lines(
	    "id: 17-9\nevent: redistribute.gap\ndata: {\"from\":\"17-2\","
	    "\"first\":null,\"lost\":null}\n\n");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("frame");

	tcase_add_test(tc, replies_are_as_written_down);
	tcase_add_loop_test(tc, messages_are_rows, 0,
			    sizeof(rows) / sizeof(*rows));
	tcase_add_test(tc, many_messages_share_a_frame);
	tcase_add_test(tc, messagepack_counts_its_members);
	tcase_add_test(tc, plain_is_the_payload_alone);
	tcase_add_test(tc, events_are_lines);
	tcase_add_test(tc, a_stream_begins_and_tells_gaps);
	return unit_run_case("frame", tc);
}
