/* SPDX-License-Identifier: MIT */
/*
 * router.c -- which request goes where; see router.h.
 */
#include "gateway/router.h"
#include "gateway/access.h"
#include "gateway/frame.h"
#include "gateway/origin.h"
#include "src/keys.h"

#include <inttypes.h>
#include <stdio.h>

#define WS_PREFIX  "/ws/"
#define SSE_PREFIX "/sse/"

#define NO_ORIGIN "This origin is not allowed; see --origin and --server-name."
#define NO_NAME   "This gateway is not known by this name; see --server-name."
/* What a page of another origin may send, and for how long it may know. */
#define PREFLIGHT                                                              \
	"Access-Control-Allow-Methods: GET, POST\r\n"                          \
	"Access-Control-Allow-Headers: Content-Type, Last-Event-ID\r\n"        \
	"Access-Control-Max-Age: 600\r\n"

static void answer(struct rd_conn *conn, int status, const char *why,
		   const char *extra)
{
	struct rd_buf body = RD_BUF_INIT;

	rd_buf_addf(&body, "%s\n", why);
	rd_conn_answer(conn, status, "text/plain; charset=utf-8",
		       rd_buf_slice(&body), extra);
	rd_buf_fini(&body);
}

static void refuse(struct rd_conn *conn, int status, const char *why)
{
	answer(conn, status, why, status == 405 ? "Allow: GET\r\n" : NULL);
}

static bool has_prefix(struct rd_slice s, const char *prefix)
{
	return s.len >= strlen(prefix) &&
	       !memcmp(s.data, prefix, strlen(prefix));
}

static void count_sent_on(struct rd_router *r)
{
	if (r->draining)
		r->counters.refused_draining++;
	else
		r->counters.refused_unruled++;
}

/* It came too early, too late, or by a socket that is about to be closed. */
static void send_on(struct rd_router *r, struct rd_conn *conn)
{
	char extra[48];

	count_sent_on(r);
	snprintf(extra, sizeof(extra), "Retry-After: %" PRIu64 "\r\n",
		 (r->come_again_ms + 999) / 1000);
	answer(conn, 503,
	       r->draining ? "This gateway is going; try again."
			   : "Redis does not answer; try again.",
	       extra);
}

/* The same for a stream of events: a browser never comes back after a 503. */
static void send_on_stream(struct rd_router *r, struct rd_conn *conn,
			   const struct rd_http_request *req)
{
	struct rd_buf event = RD_BUF_INIT, headers = RD_BUF_INIT;

	count_sent_on(r);
	rd_frame_event_start(&event, RD_ID_ZERO, r->come_again_ms);
	if (rd_origin_allowed(r->cfg, req->origin, req->host))
		rd_origin_headers(req->origin, &headers);
	rd_conn_answer(conn, 200, "text/event-stream", rd_buf_slice(&event),
		       rd_buf_text(&headers));
	rd_buf_fini(&event);
	rd_buf_fini(&headers);
}

static const struct {
	const char *name;
	enum rd_codec codec;
} protocols[] = {
    {"redistribute.json", RD_CODEC_JSON},
    {"redistribute.msgpack", RD_CODEC_MSGPACK},
};

/* The first subprotocol of the client's list that is known, or NULL. */
static const char *choose(const struct rd_http_request *req,
			  enum rd_codec *codec_out)
{
	struct rd_http_list list = req->protocols;
	struct rd_slice item;

	*codec_out = RD_CODEC_JSON;
	while (rd_http_list_next(&list, &item))
		for (size_t i = 0; i < 2; i++)
			if (rd_slice_is(item, protocols[i].name)) {
				*codec_out = protocols[i].codec;
				return protocols[i].name;
			}
	return NULL;
}

/* ---- one channel, by its name in the path ---- */

/* The channel that stands behind the prefix of the path; false where that is
 * none, which is then said. */
static bool read_channel(struct rd_conn *conn,
			 const struct rd_http_request *req, const char *prefix,
			 struct rd_buf *channel)
{
	struct rd_slice raw = req->path;

	raw.data += strlen(prefix);
	raw.len -= strlen(prefix);
	if (rd_http_unescape(raw, channel) == RD_OK &&
	    rd_channel_valid(rd_buf_slice(channel)))
		return true;
	refuse(conn, 400, "This is not a channel name.");
	return false;
}

/* Where to start; the same. */
static bool read_place(struct rd_conn *conn, const struct rd_http_request *req,
		       struct rd_place *place_out)
{
	struct rd_buf offset = RD_BUF_INIT;
	struct rd_slice raw, last = req->last_event_id;
	int err = RD_OK;

	*place_out = (struct rd_place){.kind = RD_PLACE_NEW};
	if (last.len > 0)
		err = rd_place_parse(last, place_out);
	else if (rd_http_query(req->query, "offset", &raw) &&
		 (err = rd_http_unescape(raw, &offset)) == RD_OK)
		err = rd_place_parse(rd_buf_slice(&offset), place_out);
	rd_buf_fini(&offset);
	if (err == RD_OK)
		return true;
	refuse(conn, 400,
	       last.len > 0 ? "Last-Event-ID: expected " RD_PLACE_EXPECTED "."
			    : "offset: expected " RD_PLACE_EXPECTED ".");
	return false;
}

static void open_plain(struct rd_router *r, struct rd_conn *conn,
		       const struct rd_http_request *req, const char *prefix,
		       struct rd_plain_wish *wish)
{
	struct rd_buf channel = RD_BUF_INIT;

	if (read_channel(conn, req, prefix, &channel) &&
	    read_place(conn, req, &wish->place)) {
		wish->channel = rd_buf_slice(&channel);
		if (rd_plain_may_open(r->plains, wish->channel))
			rd_plain_open(r->plains, conn, req, wish);
		else
			refuse(conn, 403,
			       "Nobody may subscribe to this channel.");
	}
	rd_buf_fini(&channel);
}

static void open_post(struct rd_router *r, struct rd_conn *conn,
		      const struct rd_http_request *req, const char *headers)
{
	struct rd_buf channel = RD_BUF_INIT;

	if (req->transfer_encoding || !req->has_length)
		refuse(conn, 411, "The body must have a Content-Length.");
	else if (read_channel(conn, req, SSE_PREFIX, &channel))
		rd_post_open(r->posts, conn, req, rd_buf_slice(&channel),
			     headers);
	rd_buf_fini(&channel);
}

static void open_sse(struct rd_router *r, struct rd_conn *conn,
		     const struct rd_http_request *req)
{
	struct rd_buf headers = RD_BUF_INIT;
	struct rd_plain_wish wish = {.codec = RD_CODEC_SSE};

	rd_origin_headers(req->origin, &headers);
	wish.headers = rd_buf_text(&headers);
	if (!rd_origin_allowed(r->cfg, req->origin, req->host)) {
		refuse(conn, 403, NO_ORIGIN);
	} else if (rd_slice_is(req->method, "GET") && req->origin.len == 0 &&
		   !rd_origin_is_us(r->cfg, r->cfg->host, req->host)) {
		/* A page that reads from what has its own name, it thinks. */
		refuse(conn, 403, NO_NAME);
	} else if (rd_slice_is(req->method, "GET")) {
		open_plain(r, conn, req, SSE_PREFIX, &wish);
	} else if (rd_slice_is(req->method, "POST")) {
		open_post(r, conn, req, wish.headers);
	} else if (rd_slice_is(req->method, "OPTIONS")) {
		rd_buf_adds(&headers, PREFLIGHT);
		rd_conn_answer(conn, 200, NULL, (struct rd_slice){"", 0},
			       rd_buf_text(&headers));
	} else {
		rd_conn_answer(conn, 405, NULL, (struct rd_slice){"", 0},
			       "Allow: GET, POST, OPTIONS\r\n");
	}
	rd_buf_fini(&headers);
}

/* ---- WebSockets ---- */

static void open_websocket(struct rd_router *r, struct rd_conn *conn,
			   const struct rd_http_request *req)
{
	struct rd_plain_wish wish = {.codec = RD_CODEC_PLAIN};
	const char *why = NULL;
	enum rd_codec codec;
	int status = rd_http_check_upgrade(req, &why);

	if (status != 0) {
		refuse(conn, status, why);
	} else if (!rd_origin_allowed(r->cfg, req->origin, req->host)) {
		refuse(conn, 403, NO_ORIGIN);
	} else if (has_prefix(req->path, WS_PREFIX)) {
		wish.protocol = choose(req, &codec);
		open_plain(r, conn, req, WS_PREFIX, &wish);
	} else {
		wish.protocol = choose(req, &codec);
		rd_session_open(r->sessions, conn, req, codec, wish.protocol);
	}
}

/* ---- all of them ---- */

void rd_router_request(void *arg, struct rd_conn *conn,
		       const struct rd_http_request *req)
{
	struct rd_router *r = arg;

	rd_access_connect(conn, req);
	if ((r->draining || r->unruled) && has_prefix(req->path, SSE_PREFIX) &&
	    rd_slice_is(req->method, "GET")) {
		send_on_stream(r, conn, req);
	} else if (r->draining || r->unruled) {
		send_on(r, conn);
	} else if (rd_conns_count(r->conns) > (size_t)r->cfg->max_connections) {
		r->counters.refused_connections++;
		refuse(conn, 503, "Too many connections.");
	} else if (rd_conns_are_full(r->conns)) {
		r->counters.refused_full++;
		refuse(conn, 503, "Too much is waiting; try again.");
	} else if (rd_conn_is_crowded(conn)) {
		r->counters.refused_crowded++;
		refuse(conn, 429, "Too many connections from this address.");
	} else if (req->upgrade_websocket || has_prefix(req->path, WS_PREFIX)) {
		open_websocket(r, conn, req);
	} else if (has_prefix(req->path, SSE_PREFIX)) {
		open_sse(r, conn, req);
	} else {
		rd_pages_answer(r->pages, conn, req);
	}
}
