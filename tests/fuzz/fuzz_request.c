/* SPDX-License-Identifier: MIT */
/*
 * fuzz_request.c -- anything at all into gateway/protocol.c, in both codecs.
 *
 * The first byte chooses the codec; the rest is one request.  It is read
 * twice, in between another one, and must come out the same: nothing of the
 * one before is left.  What is taken must be what protocol.h promises.  What
 * is a request in JSON must be the same request when its text is made
 * MessagePack, and what is refused must be refused for the same reason.
 */
#include "gateway/protocol.h"
#include "src/json.h"
#include "src/keys.h"
#include "src/message.h"
#include "src/pack.h"
#include "src/utf8.h"
#include "tests/fuzz/fuzz.h"

static void check_message(const struct rd_message *msg)
{
	assert(msg->type.len <= RD_TYPE_MAX && rd_utf8_valid(msg->type));
	assert(msg->from.data == NULL && msg->key.data == NULL);
	if (msg->encoding == RD_ENC_JSON)
		assert(rd_json_valid(msg->payload));
	else if (msg->encoding == RD_ENC_TEXT)
		assert(rd_utf8_valid(msg->payload));
	else if (msg->encoding == RD_ENC_MSGPACK)
		assert(rd_pack_valid(msg->payload));
	else
		assert(msg->encoding == RD_ENC_BIN);
}

static void check(const struct rd_request *req, enum rd_fault fault,
		  const char *why)
{
	assert(req->id < UINT64_C(1) << 53 && (req->has_id || req->id == 0));
	if (fault != RD_FAULT_NONE) {
		assert(fault < RD_FAULT_NONE && why != NULL && *why != '\0');
		assert(rd_fault_code(fault) != NULL);
		return;
	}
	assert(req->verb < RD_VERBS);
	assert(req->verb == RD_VERB_PING || rd_channel_valid(req->channel));
	assert(
	    req->place.kind != RD_PLACE_LAST ||
	    (req->place.count >= 1 && req->place.count <= RD_PLACE_LAST_MAX));
	assert(req->limit >= 1 && req->limit <= RD_HISTORY_MAX);
	if (req->verb == RD_VERB_PUBLISH || req->verb == RD_VERB_CALL)
		check_message(&req->message);
}

/* All of it but the payload, which has another form in the other codec. */
static void dump(struct rd_buf *out, const struct rd_request *req,
		 enum rd_fault fault)
{
	char id[RD_ID_TEXT];

	rd_buf_addf(out, "%d %d %llu ", fault, req->has_id,
		    (unsigned long long)req->id);
	if (fault != RD_FAULT_NONE)
		return;
	rd_buf_addf(out, "%d %d %llu %llu %d ", req->verb, req->place.kind,
		    (unsigned long long)req->place.count,
		    (unsigned long long)req->limit, req->reverse);
	rd_buf_adds(out, rd_id_text(req->place.id, id));
	rd_buf_adds(out, rd_id_text(req->to, id));
	fuzz_add(out, req->channel);
	fuzz_add(out, req->epoch);
	fuzz_add(out, req->message.type);
}

/* Reads it; appends what it is, and as MessagePack what it carries. */
static enum rd_fault read_it(struct rd_request_reader *r, enum rd_codec codec,
			     struct rd_slice bytes, struct rd_buf *out,
			     struct rd_buf *payload)
{
	struct rd_request req;
	enum rd_fault fault = RD_FAULT_NONE;
	const char *why = NULL;
	int err = rd_request_read(r, codec, bytes, &req, &fault, &why);

	assert((err == RD_OK) == (fault == RD_FAULT_NONE));
	check(&req, fault, why);
	dump(out, &req, fault);
	if (fault == RD_FAULT_NONE &&
	    (req.verb == RD_VERB_PUBLISH || req.verb == RD_VERB_CALL))
		rd_message_add_pack(&req.message, payload);
	return fault;
}

/* data64 is of JSON alone, and MessagePack is not nested as deep. */
static bool has_twin(struct rd_slice text, struct rd_buf *pack)
{
	struct rd_members m = {0};
	bool twin = rd_json_members(text, &m) == RD_OK &&
		    rd_members_get(&m, "data64") == NULL &&
		    rd_json_to_pack(text, pack) == RD_OK &&
		    rd_pack_valid(rd_buf_slice(pack));

	rd_members_fini(&m);
	return twin;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char other[] =
	    "{\"id\":7,\"do\":\"publish\",\"channel\":\"c\",\"type\":\"t\","
	    "\"data64\":\"/w==\"}";
	struct rd_slice in = fuzz_input(data, len);
	enum rd_codec codec =
	    fuzz_byte(&in) & 1 ? RD_CODEC_MSGPACK : RD_CODEC_JSON;
	struct rd_request_reader r = {0};
	struct rd_buf one = RD_BUF_INIT, two = RD_BUF_INIT, pack = RD_BUF_INIT;
	struct rd_buf said = RD_BUF_INIT, again = RD_BUF_INIT;
	char *exact = fuzz_exact(in);

	in.data = exact;
	read_it(&r, codec, in, &one, &said);
	rd_buf_clear(&two);
	read_it(&r, RD_CODEC_JSON, rd_slice_str(other), &two, &again);
	rd_buf_clear(&two);
	rd_buf_clear(&again);
	read_it(&r, codec, in, &two, &again);
	assert(rd_slice_eq(rd_buf_slice(&one), rd_buf_slice(&two)));
	assert(rd_slice_eq(rd_buf_slice(&said), rd_buf_slice(&again)));
	if (codec == RD_CODEC_JSON && has_twin(in, &pack)) {
		rd_buf_clear(&two);
		rd_buf_clear(&again);
		read_it(&r, RD_CODEC_MSGPACK, rd_buf_slice(&pack), &two,
			&again);
		assert(rd_slice_eq(rd_buf_slice(&one), rd_buf_slice(&two)));
		assert(rd_slice_eq(rd_buf_slice(&said), rd_buf_slice(&again)));
	}
	rd_request_reader_fini(&r);
	rd_buf_fini(&one);
	rd_buf_fini(&two);
	rd_buf_fini(&pack);
	rd_buf_fini(&said);
	rd_buf_fini(&again);
	free(exact);
	return 0;
}
