/* SPDX-License-Identifier: MIT */
/*
 * protocol.h -- the requests of PROTOCOL.md: bytes of a frame in, a struct
 * out.  Pure; what goes the other way is in frame.h.
 */
#ifndef RD_GATEWAY_PROTOCOL_H
#define RD_GATEWAY_PROTOCOL_H

#include <redistribute/message.h>

#include "gateway/writer.h"
#include "src/member.h"
#include "src/place.h"

#define RD_TYPE_MAX        255 /* bytes of a message's type */
#define RD_HISTORY_MAX     1000
#define RD_HISTORY_DEFAULT 100

enum rd_verb {
	RD_VERB_SUBSCRIBE,
	RD_VERB_UNSUBSCRIBE,
	RD_VERB_PUBLISH,
	RD_VERB_HISTORY,
	RD_VERB_CALL,
	RD_VERB_PING,
	RD_VERBS
};

/* The error codes of PROTOCOL.md: name, text on the wire, worth a retry? */
#define RD_FAULTS(X)                                                           \
	X(RD_FAULT_BAD_REQUEST, "bad_request", false)                          \
	X(RD_FAULT_BAD_CHANNEL, "bad_channel", false)                          \
	X(RD_FAULT_BAD_OFFSET, "bad_offset", false)                            \
	X(RD_FAULT_UNKNOWN_REQUEST, "unknown_request", false)                  \
	X(RD_FAULT_TOO_LARGE, "too_large", false)                              \
	X(RD_FAULT_LIMIT, "limit", false)                                      \
	X(RD_FAULT_DENIED, "denied", false)                                    \
	X(RD_FAULT_TIMEOUT, "timeout", true)                                   \
	X(RD_FAULT_RATE, "rate", true)                                         \
	X(RD_FAULT_BUSY, "busy", true)                                         \
	X(RD_FAULT_BACKLOG, "backlog", true)                                   \
	X(RD_FAULT_UNAVAILABLE, "unavailable", true)                           \
	X(RD_FAULT_UNKNOWN, "unknown", true)

enum rd_fault {
#define RD_FAULT_ENUM(name, text, retry) name,
	RD_FAULTS(RD_FAULT_ENUM)
#undef RD_FAULT_ENUM
	    RD_FAULT_NONE
};
const char *rd_fault_code(enum rd_fault fault);
bool rd_fault_retry(enum rd_fault fault);
/* What an error of rd_publisher_send() is to a client; why_out: a sentence,
 * borrowed for ever. */
enum rd_fault rd_fault_of(int err, const char **why_out);

struct rd_request {
	bool has_id;
	uint64_t id;
	enum rd_verb verb;
	struct rd_slice channel;   /* valid, for the verbs that take one */
	struct rd_place place;     /* subscribe: offset, count; history: from */
	struct rd_slice epoch;     /* data is NULL where not given */
	struct rd_id to;           /* history; the largest id where not given */
	uint64_t limit;            /* history */
	bool reverse;              /* history */
	struct rd_message message; /* publish, call */
};

/* Storage that decoding uses again and again; zero it to start. */
struct rd_request_reader {
	struct rd_members members;
	struct rd_buf bytes; /* of data64 */
};
void rd_request_reader_fini(struct rd_request_reader *r);

/*
 * Reads one request.  RD_OK; RD_EINVAL where the request is wrong, or is no
 * document of the codec: *fault_out and *why_out (a sentence, borrowed for
 * ever) tell how, and request_out has its id if that could be read.
 * request_out borrows from bytes and r.
 */
RD_MUST_CHECK int rd_request_read(struct rd_request_reader *r,
				  enum rd_codec codec, struct rd_slice bytes,
				  struct rd_request *request_out,
				  enum rd_fault *fault_out,
				  const char **why_out);

#endif
