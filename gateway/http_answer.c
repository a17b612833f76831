/* SPDX-License-Identifier: MIT */
/*
 * http_answer.c -- what an HTTP request means, and what is said to it.
 *
 * http.c reads the form of a request; here is the little that the gateway
 * makes of it: is it the opening handshake of a WebSocket, what do its escapes
 * and parameters say.  And the two kinds of response: the 101 that opens a
 * WebSocket, and a whole answer that closes the connection.
 *
 * The rules of the handshake are a table, in the order in which a person would
 * want to hear of them; so are the statuses, with the headers that RFC 9110
 * demands beside some.
 *
 * Declared in http.h, of which this file is the second half.
 */
#include "gateway/http.h"
#include "gateway/crypto.h"
#include "gateway/extension.h"

#include <inttypes.h>

/* --- the handshake, RFC 6455 section 4.2.1 ------------------------------- */

int rd_http_check_upgrade(const struct rd_http_request *req,
			  const char **why_out)
{
	const struct {
		bool wrong;
		int status;
		const char *why;
	} checks[] = {
	    {!rd_slice_is(req->method, "GET"), 405,
	     "A WebSocket is opened by GET."},
	    {!req->upgrade_websocket, 426, "This is a place for WebSockets."},
	    {req->minor < 1, 400, "A WebSocket needs HTTP/1.1."},
	    {!req->connection_upgrade, 400,
	     "The Connection header does not list Upgrade."},
	    {req->ws_version != 13, 426, "The WebSocket version must be 13."},
	    {req->ws_key.len == 0, 400,
	     "The Sec-WebSocket-Key is not base64 of 16 bytes."},
	    {!rd_extension_valid(&req->extensions), 400,
	     "The Sec-WebSocket-Extensions header is malformed."},
	    {req->content_length > 0 || req->transfer_encoding, 400,
	     "An opening handshake has no body."},
	};

	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
		if (checks[i].wrong) {
			*why_out = checks[i].why;
			return checks[i].status;
		}
	}
	return 0;
}

/* --- targets ------------------------------------------------------------- */

/* The value of a hexadecimal digit, or -1. */
static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int rd_http_unescape(struct rd_slice raw, struct rd_buf *out)
{
	size_t was = out->len;

	for (size_t i = 0; i < raw.len; i++) {
		int high, low;

		if (raw.data[i] != '%') {
			rd_buf_addc(out, raw.data[i]);
			continue;
		}
		high = raw.len - i < 3 ? -1 : hex(raw.data[i + 1]);
		low = high < 0 ? -1 : hex(raw.data[i + 2]);
		if (low < 0)
			goto fail;
		rd_buf_addc(out, (char)(high << 4 | low));
		i += 2;
	}
	return RD_OK;
fail:
	rd_buf_cut(out, was);
	return RD_EFORMAT;
}

/* Takes the next parameter off a query. */
static void take_pair(struct rd_slice *query, struct rd_slice *key_out,
		      struct rd_slice *value_out)
{
	const char *end = query->data + query->len;
	const char *amp = memchr(query->data, '&', query->len);
	const char *stop = amp == NULL ? end : amp;
	const char *is = memchr(query->data, '=', stop - query->data);
	const char *key_end = is == NULL ? stop : is;
	const char *value = is == NULL ? stop : is + 1;

	*key_out = (struct rd_slice){query->data, key_end - query->data};
	*value_out = (struct rd_slice){value, stop - value};
	query->data = amp == NULL ? end : amp + 1;
	query->len = end - query->data;
}

bool rd_http_query(struct rd_slice query, const char *name,
		   struct rd_slice *raw_out)
{
	struct rd_slice key, value;

	while (query.len > 0) {
		take_pair(&query, &key, &value);
		if (rd_slice_is(key, name)) {
			*raw_out = value;
			return true;
		}
	}
	return false;
}

/* --- responses ----------------------------------------------------------- */

/* Statuses, and what a response with one must tell (RFC 9110 section 15). */
static const struct status {
	int status;
	const char *reason;
	const char *headers; /* whole lines, or "" */
} statuses[] = {
    {101, "Switching Protocols", ""},
    {200, "OK", ""},
    {301, "Moved Permanently", ""},
    {304, "Not Modified", ""},
    {400, "Bad Request", ""},
    {403, "Forbidden", ""},
    {404, "Not Found", ""},
    {405, "Method Not Allowed", ""},
    {408, "Request Timeout", ""},
    {411, "Length Required", ""},
    {413, "Content Too Large", ""},
    {426, "Upgrade Required",
     "Connection: Upgrade\r\nUpgrade: websocket\r\n"
     "Sec-WebSocket-Version: 13\r\n"},
    {429, "Too Many Requests", ""},
    {431, "Request Header Fields Too Large", ""},
    {500, "Internal Server Error", ""},
    {503, "Service Unavailable", ""},
};

static const struct status *find_status(int status)
{
	static const struct status unknown = {0, "Unknown", ""};

	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		if (statuses[i].status == status)
			return &statuses[i];
	return &unknown;
}

const char *rd_http_reason(int status)
{
	return find_status(status)->reason;
}

static void add_header(struct rd_buf *buf, const char *name, const char *value)
{
	if (value == NULL)
		return;
	rd_buf_adds(buf, name);
	rd_buf_adds(buf, ": ");
	rd_buf_adds(buf, value);
	rd_buf_adds(buf, "\r\n");
}

void rd_http_switch(struct rd_buf *buf, struct rd_slice key,
		    const char *protocol, struct rd_slice extension)
{
	char accept[RD_WS_ACCEPT_TEXT];

	rd_ws_accept(key, accept);
	rd_buf_adds(buf, "HTTP/1.1 101 Switching Protocols\r\n");
	add_header(buf, "Upgrade", "websocket");
	add_header(buf, "Connection", "Upgrade");
	add_header(buf, "Sec-WebSocket-Accept", accept);
	add_header(buf, "Sec-WebSocket-Protocol", protocol);
	if (extension.len > 0)
		rd_buf_addf(buf, "Sec-WebSocket-Extensions: %.*s\r\n",
			    RD_SLICE_ARG(extension));
	rd_buf_adds(buf, "\r\n");
}

void rd_http_stream(struct rd_buf *buf, const char *extra_headers)
{
	rd_buf_adds(buf, "HTTP/1.1 200 OK\r\n");
	add_header(buf, "Content-Type", "text/event-stream");
	add_header(buf, "Cache-Control", "no-store");
	add_header(buf, "Connection", "close");
	add_header(buf, "X-Content-Type-Options", "nosniff");
	add_header(buf, "X-Accel-Buffering", "no"); /* a proxy passes it on */
	rd_buf_adds(buf, extra_headers);
	rd_buf_adds(buf, "\r\n");
}

void rd_http_answer_head(struct rd_buf *buf, int status,
			 const char *content_type, uint64_t length,
			 const char *extra_headers)
{
	const struct status *s = find_status(status);

	rd_buf_addf(buf, "HTTP/1.1 %d %s\r\n", status, s->reason);
	add_header(buf, "Content-Type", content_type);
	if (status != 304) /* it would be that of the body that is not sent */
		rd_buf_addf(buf, "Content-Length: %" PRIu64 "\r\n", length);
	add_header(buf, "Connection", "close");
	add_header(buf, "X-Content-Type-Options", "nosniff");
	rd_buf_adds(buf, s->headers);
	if (extra_headers != NULL)
		rd_buf_adds(buf, extra_headers);
	rd_buf_adds(buf, "\r\n");
}

void rd_http_answer(struct rd_buf *buf, int status, const char *content_type,
		    struct rd_slice body, const char *extra_headers,
		    bool head_only)
{
	rd_http_answer_head(buf, status, content_type, body.len, extra_headers);
	if (!head_only)
		rd_buf_addslice(buf, body);
}
