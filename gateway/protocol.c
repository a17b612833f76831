/* SPDX-License-Identifier: MIT */
/*
 * protocol.c -- requests: bytes in, structs out; see protocol.h.
 *
 * A table names, for each verb, the members that it takes; each member has a
 * function that reads it into the request.  So a new verb is a row, and a new
 * member a function.
 *
 * Not here: what a request does (session.c).
 */
#include "gateway/protocol.h"
#include "src/json.h"
#include "src/keys.h"
#include "src/pack.h"

/* What a member's function answers: RD_FAULT_NONE, or a fault and a sentence.
 */
typedef enum rd_fault member_fn(const struct rd_member *m,
				struct rd_request *req, const char **why);

const char *rd_fault_code(enum rd_fault fault)
{
	static const char *const codes[] = {
#define X(name, text, retry) text,
	    RD_FAULTS(X)
#undef X
	};

	return codes[fault];
}

bool rd_fault_retry(enum rd_fault fault)
{
	static const bool retries[] = {
#define X(name, text, retry) retry,
	    RD_FAULTS(X)
#undef X
	};

	return retries[fault];
}

enum rd_fault rd_fault_of(int err, const char **why_out)
{
	if (err == RD_ELIMIT) {
		*why_out = "too much is waiting for Redis";
		return RD_FAULT_BUSY;
	}
	if (err == RD_EBACKLOG) {
		*why_out = "a team is too far behind in this channel";
		return RD_FAULT_BACKLOG;
	}
	*why_out = "Redis does not answer";
	return RD_FAULT_UNAVAILABLE;
}

void rd_request_reader_fini(struct rd_request_reader *r)
{
	rd_members_fini(&r->members);
	rd_buf_fini(&r->bytes);
}

static enum rd_fault fault(enum rd_fault which, const char **why,
			   const char *text)
{
	*why = text;
	return which;
}

static enum rd_fault read_channel(const struct rd_member *m,
				  struct rd_request *req, const char **why)
{
	if (m->kind != RD_KIND_STRING)
		return fault(RD_FAULT_BAD_REQUEST, why,
			     "channel must be given, and be a string");
	if (!rd_channel_valid(m->text))
		return fault(RD_FAULT_BAD_CHANNEL, why,
			     "channel must be 1 to 255 bytes of UTF-8 without "
			     "control characters, and its braces balanced");
	req->channel = m->text;
	return RD_FAULT_NONE;
}

static enum rd_fault read_place(const struct rd_member *m,
				const char *not_string, struct rd_request *req,
				const char **why)
{
	if (m->kind != RD_KIND_STRING)
		return fault(RD_FAULT_BAD_REQUEST, why, not_string);
	if (rd_place_parse(m->text, &req->place) != RD_OK)
		return fault(RD_FAULT_BAD_OFFSET, why,
			     "expected " RD_PLACE_EXPECTED);
	return RD_FAULT_NONE;
}

static enum rd_fault read_offset(const struct rd_member *m,
				 struct rd_request *req, const char **why)
{
	return read_place(m, "offset must be a string", req, why);
}

static enum rd_fault read_epoch(const struct rd_member *m,
				struct rd_request *req, const char **why)
{
	if (m->kind != RD_KIND_STRING)
		return fault(RD_FAULT_BAD_REQUEST, why,
			     "epoch must be a string");
	req->epoch = m->text;
	return RD_FAULT_NONE;
}

/* Stands behind offset in the table, so that is known. */
static enum rd_fault read_count(const struct rd_member *m,
				struct rd_request *req, const char **why)
{
	if (m->kind == RD_KIND_NULL)
		return RD_FAULT_NONE;
	if (m->kind != RD_KIND_INT || m->integer < 0)
		return fault(RD_FAULT_BAD_REQUEST, why,
			     "count must be a whole number, or null");
	if (req->place.kind == RD_PLACE_AFTER)
		req->place.count = (uint64_t)m->integer;
	return RD_FAULT_NONE;
}

static enum rd_fault read_from(const struct rd_member *m,
			       struct rd_request *req, const char **why)
{
	if (m->kind == RD_KIND_STRING && rd_slice_is(m->text, "$"))
		return fault(RD_FAULT_BAD_OFFSET, why,
			     "a history cannot begin at \"$\"");
	return read_place(m, "from must be a string", req, why);
}

static enum rd_fault read_to(const struct rd_member *m, struct rd_request *req,
			     const char **why)
{
	if (m->kind != RD_KIND_STRING)
		return fault(RD_FAULT_BAD_REQUEST, why, "to must be a string");
	if (rd_id_parse(m->text, &req->to) != RD_OK)
		return fault(RD_FAULT_BAD_OFFSET, why,
			     "to must be an offset like \"1700000000000-0\"");
	return RD_FAULT_NONE;
}

static enum rd_fault read_limit(const struct rd_member *m,
				struct rd_request *req, const char **why)
{
	if (m->kind != RD_KIND_INT || m->integer < 1 ||
	    m->integer > RD_HISTORY_MAX)
		return fault(RD_FAULT_BAD_REQUEST, why,
			     "limit must be a number from 1 to 1000");
	req->limit = (uint64_t)m->integer;
	return RD_FAULT_NONE;
}

static enum rd_fault read_reverse(const struct rd_member *m,
				  struct rd_request *req, const char **why)
{
	if (m->kind != RD_KIND_BOOL)
		return fault(RD_FAULT_BAD_REQUEST, why,
			     "reverse must be true or false");
	req->reverse = m->integer != 0;
	return RD_FAULT_NONE;
}

static enum rd_fault read_type(const struct rd_member *m,
			       struct rd_request *req, const char **why)
{
	if (m->kind != RD_KIND_STRING)
		return fault(RD_FAULT_BAD_REQUEST, why,
			     "type must be a string");
	if (m->text.len > RD_TYPE_MAX)
		return fault(RD_FAULT_TOO_LARGE, why,
			     "type may have 255 bytes at most");
	req->message.type = m->text;
	return RD_FAULT_NONE;
}

/* JSON keeps the value's own text, MessagePack its own bytes. */
static void take_data(const struct rd_member *m, enum rd_codec codec,
		      struct rd_message *msg)
{
	msg->payload = m->raw;
	msg->encoding = RD_ENC_JSON;
	if (codec == RD_CODEC_JSON)
		return;
	msg->encoding = RD_ENC_MSGPACK;
	if (m->kind == RD_KIND_STRING || m->kind == RD_KIND_BYTES) {
		msg->payload = m->text;
		msg->encoding =
		    m->kind == RD_KIND_STRING ? RD_ENC_TEXT : RD_ENC_BIN;
	}
}

static enum rd_fault read_data(struct rd_request_reader *r, enum rd_codec codec,
			       struct rd_request *req, const char **why)
{
	const struct rd_member *data = rd_members_get(&r->members, "data");
	const struct rd_member *data64 = NULL;

	if (codec == RD_CODEC_JSON)
		data64 = rd_members_get(&r->members, "data64");
	if ((data == NULL) == (data64 == NULL))
		return fault(RD_FAULT_BAD_REQUEST, why,
			     codec == RD_CODEC_JSON
				 ? "give either data or data64"
				 : "data must be given");
	if (data != NULL) {
		take_data(data, codec, &req->message);
		return RD_FAULT_NONE;
	}
	rd_buf_clear(&r->bytes);
	if (data64->kind != RD_KIND_STRING ||
	    rd_buf_addunbase64(&r->bytes, data64->text) != RD_OK)
		return fault(RD_FAULT_BAD_REQUEST, why,
			     "data64 must be a string of base64 with padding");
	req->message.payload = rd_buf_slice(&r->bytes);
	req->message.encoding = RD_ENC_BIN;
	return RD_FAULT_NONE;
}

#define MEMBERS_MAX 6
static const struct verb {
	const char *name;
	struct {
		const char *name;
		member_fn *read;
	} members[MEMBERS_MAX];
} verbs[RD_VERBS] = {
    [RD_VERB_SUBSCRIBE] = {"subscribe",
			   {{"channel", read_channel},
			    {"offset", read_offset},
			    {"epoch", read_epoch},
			    {"count", read_count}}},
    [RD_VERB_UNSUBSCRIBE] = {"unsubscribe", {{"channel", read_channel}}},
    [RD_VERB_PUBLISH] = {"publish",
			 {{"channel", read_channel}, {"type", read_type}}},
    [RD_VERB_HISTORY] = {"history",
			 {{"channel", read_channel},
			  {"from", read_from},
			  {"to", read_to},
			  {"limit", read_limit},
			  {"reverse", read_reverse}}},
    [RD_VERB_CALL] = {"call", {{"channel", read_channel}, {"type", read_type}}},
    [RD_VERB_PING] = {"ping", {{NULL, NULL}}},
};

static const struct verb *find_verb(const struct rd_member *m)
{
	if (m == NULL || m->kind != RD_KIND_STRING)
		return NULL;
	for (size_t i = 0; i < RD_VERBS; i++)
		if (rd_slice_is(m->text, verbs[i].name))
			return &verbs[i];
	return NULL;
}

static enum rd_fault read_id(const struct rd_members *members,
			     struct rd_request *req, const char **why)
{
	const struct rd_member *m = rd_members_get(members, "id");

	if (m == NULL || m->kind == RD_KIND_NULL)
		return RD_FAULT_NONE;
	if (m->kind != RD_KIND_INT || m->integer < 0 ||
	    m->integer >= INT64_C(1) << 53)
		return fault(RD_FAULT_BAD_REQUEST, why,
			     "id must be a whole number from 0 to 2^53 - 1");
	req->has_id = true;
	req->id = (uint64_t)m->integer;
	return RD_FAULT_NONE;
}

/* What is meant where a member is not given. */
static void set_defaults(struct rd_request *req)
{
	if (req->verb == RD_VERB_HISTORY)
		req->place.kind = RD_PLACE_AFTER; /* from 0-0 */
	req->to = RD_ID_MAX;
	req->limit = RD_HISTORY_DEFAULT;
}

/* A member may be absent or null, but for the channel. */
static enum rd_fault read_member(const struct rd_member *m, member_fn *read,
				 struct rd_request *req, const char **why)
{
	static const struct rd_member none = {.kind = RD_KIND_NULL};

	if (m == NULL)
		m = &none;
	if (m->kind == RD_KIND_NULL && read != read_channel)
		return RD_FAULT_NONE;
	return read(m, req, why);
}

static enum rd_fault read_request(struct rd_request_reader *r,
				  enum rd_codec codec, struct rd_request *req,
				  const char **why)
{
	const struct rd_member *verb_member;
	const struct verb *verb;
	enum rd_fault f = read_id(&r->members, req, why);

	if (f != RD_FAULT_NONE)
		return f;
	verb_member = rd_members_get(&r->members, "do");
	if (verb_member == NULL || verb_member->kind != RD_KIND_STRING)
		return fault(RD_FAULT_BAD_REQUEST, why,
			     "do must be given, and be a string");
	verb = find_verb(verb_member);
	if (verb == NULL)
		return fault(RD_FAULT_UNKNOWN_REQUEST, why,
			     "do must be one of subscribe, unsubscribe, "
			     "publish, history, call, ping");
	req->verb = (enum rd_verb)(verb - verbs);
	set_defaults(req);
	for (size_t i = 0; i < MEMBERS_MAX && verb->members[i].read; i++) {
		const char *name = verb->members[i].name;

		f = read_member(rd_members_get(&r->members, name),
				verb->members[i].read, req, why);
		if (f != RD_FAULT_NONE)
			return f;
	}
	if (req->verb == RD_VERB_PUBLISH || req->verb == RD_VERB_CALL)
		return read_data(r, codec, req, why);
	return RD_FAULT_NONE;
}

/* Past white space. */
static const char *skip_space(const char *p, const char *end)
{
	while (p < end && memchr(" \t\n\r", *p, 4) != NULL)
		p++;
	return p;
}

/* Past a string literal that begins at p, however it ends. */
static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\' && p + 1 < end)
			p++;
	return p < end ? p + 1 : end;
}

/* ": 7," behind the name of an id.  A number that is cut off is none. */
static void salvage_number(const char *p, const char *end,
			   struct rd_request *req)
{
	const char *digits;
	uint64_t n = 0;

	p = skip_space(p, end);
	if (p == end || *p != ':')
		return;
	digits = p = skip_space(p + 1, end);
	for (; p < end && *p >= '0' && *p <= '9' && n >> 53 == 0; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	if (p == digits || p == end || n >> 53 != 0 ||
	    memchr(" \t\n\r,}", *p, 6) == NULL)
		return;
	req->has_id = true;
	req->id = n;
}

/* The id of what looks like an object and is no JSON: the first one that
 * stands in its outermost braces, whatever is wrong elsewhere. */
static void salvage_id(struct rd_slice text, struct rd_request *req)
{
	const char *p = text.data, *end = p + text.len;
	size_t depth = 1;

	p = skip_space(p, end);
	if (p == end || *p++ != '{')
		return;
	while (p < end && depth > 0 && !req->has_id) {
		const char *start = p;

		if (*p != '"') {
			depth += *p == '{' || *p == '[';
			depth -= *p == '}' || *p == ']';
			p++;
			continue;
		}
		p = skip_string(p, end);
		if (depth == 1 && p - start == 4 &&
		    memcmp(start, "\"id\"", 4) == 0)
			salvage_number(p, end, req);
	}
}

/* What is no document of its codec.  Of a map that breaks off, the members
 * before that have been cut. */
static enum rd_fault read_broken(struct rd_request_reader *r,
				 enum rd_codec codec, struct rd_slice bytes,
				 struct rd_request *req, const char **why)
{
	if (codec == RD_CODEC_JSON)
		salvage_id(bytes, req);
	else
		(void)read_id(&r->members, req, why);
	return fault(RD_FAULT_BAD_REQUEST, why,
		     codec == RD_CODEC_JSON
			 ? "a request must be one JSON object, all of its "
			   "strings whole, and not nested too deep"
			 : "a request must be one MessagePack map with names "
			   "of UTF-8, and not nested too deep");
}

int rd_request_read(struct rd_request_reader *r, enum rd_codec codec,
		    struct rd_slice bytes, struct rd_request *request_out,
		    enum rd_fault *fault_out, const char **why_out)
{
	int err = codec == RD_CODEC_JSON ? rd_json_members(bytes, &r->members)
					 : rd_pack_members(bytes, &r->members);

	*request_out = (struct rd_request){0};
	if (err == RD_OK)
		*fault_out = read_request(r, codec, request_out, why_out);
	else
		*fault_out = read_broken(r, codec, bytes, request_out, why_out);
	return *fault_out == RD_FAULT_NONE ? RD_OK : RD_EINVAL;
}
