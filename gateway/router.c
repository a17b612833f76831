/* SPDX-License-Identifier: MIT */
/*
 * router.c -- which request goes where; see router.h.
 */
#include "gateway/router.h"
#include "gateway/origin.h"
#include "src/keys.h"

static void refuse(struct rd_conn *conn, int status, const char *why)
{
	struct rd_buf body = RD_BUF_INIT;

	rd_buf_addf(&body, "%s\n", why);
	rd_conn_answer(conn, status, "text/plain; charset=utf-8",
		       rd_buf_slice(&body), NULL);
	rd_buf_fini(&body);
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

static void open_plain(struct rd_router *r, struct rd_conn *conn,
		       const struct rd_http_request *req)
{
	struct rd_slice raw = {req->path.data + 4, req->path.len - 4};
	struct rd_place place = {.kind = RD_PLACE_NEW};
	struct rd_buf channel = RD_BUF_INIT, offset = RD_BUF_INIT;
	enum rd_codec codec;

	if (rd_http_unescape(raw, &channel) != RD_OK ||
	    !rd_channel_valid(rd_buf_slice(&channel)))
		refuse(conn, 400, "This is not a channel name.");
	else if (rd_http_query(req->query, "offset", &raw) &&
		 (rd_http_unescape(raw, &offset) != RD_OK ||
		  rd_place_parse(rd_buf_slice(&offset), &place) != RD_OK))
		refuse(conn, 400, "offset: expected " RD_PLACE_EXPECTED ".");
	else if (!rd_plain_may_open(r->plains, rd_buf_slice(&channel)))
		refuse(conn, 403, "Nobody may subscribe to this channel.");
	else
		rd_plain_open(r->plains, conn, req, rd_buf_slice(&channel),
			      &place, choose(req, &codec));
	rd_buf_fini(&channel);
	rd_buf_fini(&offset);
}

static bool has_prefix(struct rd_slice s, const char *prefix)
{
	return s.len >= strlen(prefix) &&
	       !memcmp(s.data, prefix, strlen(prefix));
}

static void open_websocket(struct rd_router *r, struct rd_conn *conn,
			   const struct rd_http_request *req)
{
	const char *why = NULL, *protocol;
	enum rd_codec codec;
	int status = rd_http_check_upgrade(req, &why);

	if (status != 0) {
		refuse(conn, status, why);
	} else if (!rd_origin_allowed(&r->cfg->origin, req->origin,
				      req->host)) {
		refuse(conn, 403, "This origin is not allowed; see --origin.");
	} else if (has_prefix(req->path, "/ws/")) {
		open_plain(r, conn, req);
	} else {
		protocol = choose(req, &codec);
		rd_session_open(r->sessions, conn, req, codec, protocol);
	}
}

void rd_router_request(void *arg, struct rd_conn *conn,
		       const struct rd_http_request *req)
{
	struct rd_router *r = arg;

	if (r->draining) {
		refuse(conn, 503, "This gateway is going; try again.");
	} else if (rd_conns_count(r->conns) > (size_t)r->cfg->max_connections) {
		r->counters.refused_connections++;
		refuse(conn, 503, "Too many connections.");
	} else if (rd_conns_are_full(r->conns)) {
		r->counters.refused_full++;
		refuse(conn, 503, "Too much is waiting; try again.");
	} else if (rd_conn_is_crowded(conn)) {
		r->counters.refused_crowded++;
		refuse(conn, 429, "Too many connections from this address.");
	} else if (req->upgrade_websocket || has_prefix(req->path, "/ws/")) {
		open_websocket(r, conn, req);
	} else {
		rd_pages_answer(r->pages, conn, req);
	}
}
