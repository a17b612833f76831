/* SPDX-License-Identifier: MIT */
/*
 * about.c -- what a handler is told of a client that wants to come in; see
 * about.h.
 *
 * Of headers and cookies only those that are configured, because the events
 * stand in Redis for a while, where others may read them.
 */
#include "gateway/about.h"
#include "src/json.h"
#include "src/utf8.h"

/* The text, or null where there is none that JSON can say. */
static void add_text(struct rd_buf *out, struct rd_slice s)
{
	if (s.len > 0 && rd_utf8_valid(s))
		rd_json_add_string(out, s);
	else
		rd_buf_adds(out, "null");
}

/* "name":, behind a comma where it is not the first of its object. */
static void add_name(struct rd_buf *out, const char *name)
{
	const char *bytes = rd_buf_data(out);

	if (out->len > 0 && bytes[out->len - 1] != '{')
		rd_buf_addc(out, ',');
	rd_json_add_string(out, rd_slice_str(name));
	rd_buf_addc(out, ':');
}

static void add_member(struct rd_buf *out, const char *name, struct rd_slice s)
{
	add_name(out, name);
	add_text(out, s);
}

/* Lines of one name are one value (RFC 9110 section 5.3). */
static void add_header(struct rd_buf *out, const struct rd_http_request *req,
		       const char *name)
{
	struct rd_buf value = RD_BUF_INIT;
	struct rd_slice lines = req->lines, line;
	bool found = false;

	while (rd_http_find_field(&lines, rd_slice_str(name), &line)) {
		rd_buf_adds(&value, found ? ", " : "");
		rd_buf_addslice(&value, line);
		found = true;
	}
	if (found)
		add_member(out, name, rd_buf_slice(&value));
	rd_buf_fini(&value);
}

static void add_cookie(struct rd_buf *out, const struct rd_http_request *req,
		       const char *name)
{
	struct rd_slice value;

	if (rd_http_cookie(req, name, &value))
		add_member(out, name, value);
}

static void add_protocols(struct rd_buf *out, const struct rd_http_request *req)
{
	struct rd_http_list list = req->protocols;
	struct rd_slice item;
	bool first = true;

	rd_buf_addc(out, '[');
	while (rd_http_list_next(&list, &item)) {
		rd_buf_adds(out, first ? "" : ",");
		add_text(out, item);
		first = false;
	}
	rd_buf_addc(out, ']');
}

void rd_about_client(struct rd_buf *out, const struct rd_config *cfg,
		     const struct rd_conn *conn,
		     const struct rd_http_request *req, const char *name,
		     const char *protocol)
{
	struct rd_buf address = RD_BUF_INIT;

	rd_conn_address(conn, &address);
	rd_buf_addc(out, '{');
	add_member(out, "name", rd_slice_str(name));
	add_member(out, "address", rd_buf_slice(&address));
	add_member(out, "agent", req->agent);
	add_member(out, "origin", req->origin);
	add_member(out, "path", req->path);
	add_member(out, "query", req->query);
	add_member(out, "protocol",
		   rd_slice_str(protocol == NULL ? "" : protocol));
	add_name(out, "protocols");
	add_protocols(out, req);
	add_name(out, "headers");
	rd_buf_addc(out, '{');
	for (int i = 0; i < cfg->event_header.count; i++)
		add_header(out, req, cfg->event_header.items[i]);
	rd_buf_addc(out, '}');
	add_name(out, "cookies");
	rd_buf_addc(out, '{');
	for (int i = 0; i < cfg->event_cookie.count; i++)
		add_cookie(out, req, cfg->event_cookie.items[i]);
	rd_buf_adds(out, "}}");
	rd_buf_fini(&address);
}
