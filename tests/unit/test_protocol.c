/* SPDX-License-Identifier: MIT */
/*
 * test_protocol.c -- requests in both codecs: what is understood, and with
 * what words the rest is refused.
 */
#include "gateway/protocol.h"
#include "src/json.h"
#include "tests/unit/unit.h"

/* Every case is JSON; for the other codec it is transcoded. */
static const struct {
	const char *json;
	const char *code; /* the fault, or NULL */
	const char *word; /* what its sentence must name */
	bool json_only;
} refused[] = {
    {"{\"id\":1}", "bad_request", "do", false},
    {"{\"id\":1,\"do\":7}", "bad_request", "do", false},
    {"{\"id\":1,\"do\":\"dance\"}", "unknown_request", "subscribe", false},
    {"{\"id\":-1,\"do\":\"ping\"}", "bad_request", "id", false},
    {"{\"id\":\"1\",\"do\":\"ping\"}", "bad_request", "id", false},
    {"{\"id\":1.5,\"do\":\"ping\"}", "bad_request", "id", false},
    {"{\"id\":9007199254740992,\"do\":\"ping\"}", "bad_request", "id", false},
    {"{\"id\":1,\"do\":\"subscribe\"}", "bad_request", "channel", false},
    {"{\"id\":1,\"do\":\"subscribe\",\"channel\":1}", "bad_request", "channel",
     false},
    {"{\"id\":1,\"do\":\"subscribe\",\"channel\":\"\"}", "bad_channel",
     "channel", false},
    {"{\"id\":1,\"do\":\"subscribe\",\"channel\":\"a\\u0000b\"}", "bad_channel",
     "channel", false},
    {"{\"id\":1,\"do\":\"subscribe\",\"channel\":\"a{b\"}", "bad_channel",
     "brace", false},
    {"{\"id\":1,\"do\":\"subscribe\",\"channel\":\"c\",\"offset\":\"x\"}",
     "bad_offset", "@", false},
    {"{\"id\":1,\"do\":\"subscribe\",\"channel\":\"c\",\"offset\":7}",
     "bad_request", "offset", false},
    {"{\"id\":1,\"do\":\"subscribe\",\"channel\":\"c\",\"epoch\":7}",
     "bad_request", "epoch", false},
    {"{\"id\":1,\"do\":\"call\",\"channel\":\"c\"}", "bad_request", "data",
     false},
    {"{\"id\":1,\"do\":\"call\",\"data\":1}", "bad_request", "channel", false},
    {"{\"id\":1,\"do\":\"publish\",\"channel\":\"c\"}", "bad_request", "data",
     false},
    {"{\"id\":1,\"do\":\"publish\",\"channel\":\"c\",\"data\":1,"
     "\"data64\":\"AA==\"}",
     "bad_request", "either", true},
    {"{\"id\":1,\"do\":\"publish\",\"channel\":\"c\",\"data64\":\"A\"}",
     "bad_request", "base64", true},
    {"{\"id\":1,\"do\":\"publish\",\"channel\":\"c\",\"data\":1,\"type\":2}",
     "bad_request", "type", false},
    {"{\"id\":1,\"do\":\"history\",\"channel\":\"c\",\"limit\":0}",
     "bad_request", "limit", false},
    {"{\"id\":1,\"do\":\"history\",\"channel\":\"c\",\"limit\":1001}",
     "bad_request", "limit", false},
    {"{\"id\":1,\"do\":\"history\",\"channel\":\"c\",\"from\":\"$\"}",
     "bad_offset", "$", false},
    {"{\"id\":1,\"do\":\"history\",\"channel\":\"c\",\"to\":\"soon\"}",
     "bad_offset", "to", false},
    {"{\"id\":1,\"do\":\"history\",\"channel\":\"c\",\"reverse\":1}",
     "bad_request", "reverse", false},
};

static struct rd_request_reader reader;
static struct rd_buf packed;

static int parse(enum rd_codec codec, const char *json, struct rd_request *req,
		 enum rd_fault *fault, const char **why)
{
	struct rd_slice bytes = rd_slice_str(json);

	if (codec == RD_CODEC_MSGPACK) {
		rd_buf_clear(&packed);
		ck_assert_int_eq(rd_json_to_pack(bytes, &packed), RD_OK);
		bytes = rd_buf_slice(&packed);
	}
	return rd_request_read(&reader, codec, bytes, req, fault, why);
}

static void cleanup(void)
{
	rd_request_reader_fini(&reader);
	reader = (struct rd_request_reader){0};
	rd_buf_fini(&packed);
}

START_TEST(wrong_requests_are_refused_in_words)
{
	for (int codec = 0; codec < RD_CODEC_PLAIN; codec++) {
		struct rd_request req;
		enum rd_fault fault;
		const char *why = NULL;

		if (codec != RD_CODEC_JSON && refused[_i].json_only)
			continue;
		ck_assert_int_eq(parse((enum rd_codec)codec, refused[_i].json,
				       &req, &fault, &why),
				 RD_EINVAL);
		ck_assert_str_eq(rd_fault_code(fault), refused[_i].code);
		ck_assert_ptr_nonnull(strstr(why, refused[_i].word));
	}
	cleanup();
}
END_TEST

/* What is no document, and the id that is seen in it all the same, or -1. */
static const struct {
	const char *json;
	int64_t id;
} malformed[] = {
    {"", -1},
    {"[]", -1},
    {"1", -1},
    {"null", -1},
    {"nul", -1},
    {"{", -1},
    {"{}x", -1},
    {"{\"a\":}", -1},
    {"{\"id\"", -1},
    {"{\"id\":", -1},
    {"{\"id\":7", -1}, /* perhaps 70 */
    {"{\"id\":-7,}", -1},
    {"{\"id\":7.5,}", -1},
    {"{\"id\":\"7\",}", -1},
    {"{\"id\":9007199254740992,}", -1},
    {"{\"id\":99999999999999999999999999,}", -1},
    {"{\"a\":{\"id\":7},}", -1},
    {"{\"a\":[\"id\":7,]", -1},
    {"{\"a\":\"\\\"id\\\":7,\"", -1},
    {"[\"id\":7,]", -1},
    {"{\"id\":7,", 7},
    {"{\"id\":7}x", 7},
    {"{\"id\":0}{}", 0},
    {" {\t\"a\\\"\" : [{}] ,\n\"id\" : 9007199254740991 , \"b\":\"\\ud800\"}",
     INT64_C(9007199254740991)},
};

START_TEST(what_is_no_document_is_refused_by_its_id)
{
	struct rd_slice bytes = rd_slice_str(malformed[_i].json);
	struct rd_request req;
	enum rd_fault fault;
	const char *why;

	/* Nothing of the request before stays. */
	ck_assert_int_eq(parse(RD_CODEC_JSON, "{\"id\":3,\"do\":\"ping\"}",
			       &req, &fault, &why),
			 RD_OK);
	ck_assert_int_eq(
	    rd_request_read(&reader, RD_CODEC_JSON, bytes, &req, &fault, &why),
	    RD_EINVAL);
	ck_assert_int_eq(fault, RD_FAULT_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(why, "JSON object"));
	ck_assert_int_eq(req.has_id, malformed[_i].id >= 0);
	if (req.has_id)
		ck_assert_uint_eq(req.id, (uint64_t)malformed[_i].id);
	cleanup();
}
END_TEST

START_TEST(a_subscribe_is_understood)
{
	struct rd_request req;
	enum rd_fault fault;
	const char *why;

	ck_assert_int_eq(
	    parse((enum rd_codec)_i,
		  "{\"id\":7,\"do\":\"subscribe\",\"channel\":\"r\\u00f6m\","
		  "\"offset\":\"5-1\",\"epoch\":\"e\",\"other\":[1,{}]}",
		  &req, &fault, &why),
	    RD_OK);
	ck_assert(req.has_id);
	ck_assert_uint_eq(req.id, 7);
	ck_assert_int_eq(req.verb, RD_VERB_SUBSCRIBE);
	ck_assert(rd_slice_is(req.channel, "r\xc3\xb6m"));
	ck_assert_int_eq(req.place.kind, RD_PLACE_AFTER);
	ck_assert_uint_eq(req.place.id.ms, 5);
	ck_assert_uint_eq(req.place.id.seq, 1);
	ck_assert(rd_slice_is(req.epoch, "e"));
	cleanup();
}
END_TEST

START_TEST(a_json_payload_keeps_its_bytes)
{
	struct rd_request req;
	enum rd_fault fault;
	const char *why;

	ck_assert_int_eq(
	    parse(RD_CODEC_JSON,
		  "{\"do\":\"publish\",\"channel\":\"c\",\"type\":\"T\","
		  "\"data\": {\"b\" : 1.50, \"a\":[ ]} }",
		  &req, &fault, &why),
	    RD_OK);
	ck_assert(!req.has_id);
	ck_assert_int_eq(req.message.encoding, RD_ENC_JSON);
	ck_assert(
	    rd_slice_is(req.message.payload, "{\"b\" : 1.50, \"a\":[ ]}"));
	ck_assert(rd_slice_is(req.message.type, "T"));
	cleanup();
}
END_TEST

START_TEST(bytes_travel_in_both_codecs)
{
	static const char pack[] = "\x83\xa2"
				   "do\xa7publish\xa7"
				   "channel\xa1"
				   "c\xa4"
				   "data\xc4\x02\x00\xff";
	struct rd_request req;
	enum rd_fault fault;
	const char *why;

	ck_assert_int_eq(parse(RD_CODEC_JSON,
			       "{\"do\":\"publish\",\"channel\":\"c\","
			       "\"data64\":\"AP8=\"}",
			       &req, &fault, &why),
			 RD_OK);
	ck_assert_int_eq(req.message.encoding, RD_ENC_BIN);
	ck_assert(
	    rd_slice_eq(req.message.payload, (struct rd_slice){"\x00\xff", 2}));
	ck_assert_int_eq(
	    rd_request_read(&reader, RD_CODEC_MSGPACK,
			    (struct rd_slice){pack, sizeof(pack) - 1}, &req,
			    &fault, &why),
	    RD_OK);
	ck_assert_int_eq(req.message.encoding, RD_ENC_BIN);
	ck_assert(
	    rd_slice_eq(req.message.payload, (struct rd_slice){"\x00\xff", 2}));
	cleanup();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("protocol");

	tcase_add_loop_test(tc, wrong_requests_are_refused_in_words, 0,
			    sizeof(refused) / sizeof(*refused));
	tcase_add_loop_test(tc, what_is_no_document_is_refused_by_its_id, 0,
			    sizeof(malformed) / sizeof(*malformed));
	tcase_add_loop_test(tc, a_subscribe_is_understood, 0, RD_CODEC_PLAIN);
	tcase_add_test(tc, a_json_payload_keeps_its_bytes);
	tcase_add_test(tc, bytes_travel_in_both_codecs);
	return unit_run_case("protocol", tc);
}
