/* SPDX-License-Identifier: MIT */
/*
 * http.h -- one HTTP/1.1 request head in, one response out; RFC 9112.
 *
 * As strict as a server may be that closes after each answer: whatever two
 * parsers could read in two ways is refused.  All slices point into the head
 * and live as long as its bytes stay where they are.
 */
#ifndef RD_GATEWAY_HTTP_H
#define RD_GATEWAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/buf.h"

/*
 * The items of a comma list (RFC 9110 section 5.6.1) that may go on over
 * several header lines of one name.  A copy is a walk of its own.
 */
struct rd_http_list {
	struct rd_slice rest;  /* borrowed: this line's items still to come */
	struct rd_slice lines; /* borrowed: the header lines behind it */
	struct rd_slice name;  /* borrowed: of the header */
};

/* Absent headers are empty slices and lists, zero or false. */
struct rd_http_request {
	struct rd_slice method; /* "GET"; case counts */
	struct rd_slice target; /* as it came */
	struct rd_slice path;   /* raw, begins with "/" */
	struct rd_slice query;  /* raw, behind the first "?" */
	struct rd_slice lines;  /* all header lines */
	struct rd_slice host;   /* of the target where that names one */
	struct rd_slice origin;
	struct rd_slice agent; /* User-Agent; any bytes */
	struct rd_slice content_type;
	struct rd_slice last_event_id; /* of an event stream that comes back */
	struct rd_slice ws_key; /* 24 bytes that are base64 of 16, or empty */
	struct rd_http_list protocols;  /* Sec-WebSocket-Protocol */
	struct rd_http_list extensions; /* Sec-WebSocket-Extensions */
	uint64_t content_length;        /* bytes of body that follow */
	int minor;                      /* of the version: 1 for HTTP/1.1 */
	int ws_version;                 /* 0 also where it is no number */
	bool upgrade_websocket;         /* Upgrade lists "websocket" */
	bool connection_upgrade;        /* Connection lists "upgrade" */
	bool has_length;                /* content_length was told, perhaps 0 */
	bool transfer_encoding;         /* a body that is not understood here */
	bool expects_continue;          /* its body waits for a 100 */
};

/*
 * Reads the head of a request, from its first byte to the blank line.
 *
 * RD_EAGAIN: it is not complete.  Call again when more has come, with all the
 * bytes from the first on.  used_inout is 0 at the first call and is left
 * alone between calls: it tells how far was looked, so no byte is scanned
 * twice.
 * RD_OK: complete; used_inout is the size of the head, req_out is filled.
 * RD_ETOOBIG: there is no end within max_head bytes (answer 431).
 * RD_EFORMAT: malformed, perhaps before the end was seen (answer 400).
 */
RD_MUST_CHECK int rd_http_parse(struct rd_slice head, size_t max_head,
				struct rd_http_request *req_out,
				size_t *used_inout);

/* The next of these header lines that has this name, and takes the lines up to
 * it off; false where there is none any more. */
bool rd_http_find_field(struct rd_slice *lines, struct rd_slice name,
			struct rd_slice *value_out);
/* The raw value of the first cookie of this name (case counts); false where
 * there is none. */
bool rd_http_cookie(const struct rd_http_request *req, const char *name,
		    struct rd_slice *value_out);

/* The next item that is not empty, without blanks around it; false at the
 * end.  A comma in a quoted string does not split. */
bool rd_http_list_next(struct rd_http_list *list, struct rd_slice *item_out);

/*
 * Is it an opening handshake, RFC 6455 section 4.2.1?  0, or the status to
 * answer with (400, 405, 426) and, in why_out, a sentence.
 */
int rd_http_check_upgrade(const struct rd_http_request *req,
			  const char **why_out);

/*
 * Appends what a percent-encoded text stands for, any bytes, NUL too.  A plus
 * sign stays one.  RD_EFORMAT for a bad escape: nothing is appended then.
 */
RD_MUST_CHECK int rd_http_unescape(struct rd_slice raw, struct rd_buf *out);
/* The raw value of the first parameter of this name, which is compared raw;
 * empty for one without "=".  False where there is none. */
bool rd_http_query(struct rd_slice query, const char *name,
		   struct rd_slice *raw_out);

/* The reason phrase of a status; "Unknown" for those never sent here. */
const char *rd_http_reason(int status);
/*
 * Appends the 101 that opens a WebSocket, RFC 6455 section 4.2.2.  key:
 * req.ws_key.  protocol: the choice, trusted, or NULL.  extension: what was
 * agreed on, trusted, or empty.
 */
void rd_http_switch(struct rd_buf *buf, struct rd_slice key,
		    const char *protocol, struct rd_slice extension);
/* Appends the head of a response that is a stream of events, up to the end of
 * the connection.  extra_headers: whole lines, trusted. */
void rd_http_stream(struct rd_buf *buf, const char *extra_headers);
/*
 * Appends a whole response that closes the connection.  content_type: NULL
 * for none.  extra_headers: whole lines, trusted, or NULL.  head_only: for
 * HEAD, the length of the body without the body.  A 426 says by itself what
 * would be right.
 */
void rd_http_answer(struct rd_buf *buf, int status, const char *content_type,
		    struct rd_slice body, const char *extra_headers,
		    bool head_only);
/* The head of an answer whose body, of so many bytes, follows by itself.  A 304
 * has none, and tells no length. */
void rd_http_answer_head(struct rd_buf *buf, int status,
			 const char *content_type, uint64_t length,
			 const char *extra_headers);

#endif
