/* SPDX-License-Identifier: MIT */
/*
 * ops.c -- the operator's port; see ops.h.
 *
 * /healthz says that the process turns its loop; /readyz that it can serve;
 * they differ while Redis is away, when a restart would help nobody.
 *
 * Metrics may have to be fetched first; the request waits meanwhile.  A client
 * that goes away then leaves its request to us: answering it frees it.
 */
#include "gateway/ops.h"
#include "gateway/crypto.h"
#include "gateway/guests.h"
#include "gateway/origin.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/secret.h"
#include "src/tls.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

struct rd_ops {
	struct rd_loop *loop;        /* borrowed */
	const struct rd_config *cfg; /* borrowed */
	struct evhttp *http;         /* owned */
	struct rd_tls *tls;          /* owned; NULL: no TLS */
	struct rd_buf token;         /* owned; empty: none is asked for */
	const struct rd_ops_calls *calls;
	void *arg;
	struct rd_list waiting; /* of struct waiting */
	struct rd_guests guests;
	struct rd_ops_counters counters;
};

/* Somebody waits for metrics. */
struct waiting {
	struct rd_list link;
	struct evhttp_request *req; /* ours until it is answered */
};

/* ---- answers ---- */

static void answer(struct rd_ops *ops, struct evhttp_request *req, int status,
		   const char *type, const struct rd_buf *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *out = evbuffer_new();

	if (out == NULL)
		abort();
	ops->counters.ops_requests++;
	evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	evhttp_add_header(headers, "Connection", "close");
	evbuffer_add(out, rd_buf_data(body), body->len);
	evhttp_send_reply(req, status, NULL, out);
	evbuffer_free(out);
}

static void answer_text(struct rd_ops *ops, struct evhttp_request *req,
			int status, const char *text)
{
	struct rd_buf body = RD_BUF_INIT;

	rd_buf_addf(&body, "%s\n", text);
	answer(ops, req, status, "text/plain; charset=utf-8", &body);
	rd_buf_fini(&body);
}

static void on_healthz(struct rd_ops *ops, struct evhttp_request *req)
{
	answer_text(ops, req, HTTP_OK, "ok");
}

static void on_readyz(struct rd_ops *ops, struct evhttp_request *req)
{
	struct rd_buf why = RD_BUF_INIT;
	bool ready = ops->calls->ready(ops->arg, &why);

	answer_text(ops, req, ready ? HTTP_OK : HTTP_SERVUNAVAIL,
		    ready ? "ready" : rd_buf_text(&why));
	rd_buf_fini(&why);
}

static void answer_metrics(struct rd_ops *ops, struct evhttp_request *req)
{
	struct rd_buf body = RD_BUF_INIT;

	ops->calls->metrics(ops->arg, &body);
	answer(ops, req, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
	       &body);
	rd_buf_fini(&body);
}

static void on_metrics(struct rd_ops *ops, struct evhttp_request *req)
{
	struct waiting *w;

	if (!ops->calls->look(ops->arg)) {
		answer_metrics(ops, req);
		return;
	}
	w = rd_new(struct waiting);
	w->req = req;
	rd_list_init(&w->link);
	rd_list_push(&ops->waiting, &w->link);
}

void rd_ops_looked(struct rd_ops *ops)
{
	struct rd_list *link;

	while ((link = rd_list_shift(&ops->waiting)) != NULL) {
		struct waiting *w = rd_list_item(link, struct waiting, link);

		answer_metrics(ops, w->req);
		free(w);
	}
}

/* ---- requests ---- */

static const struct {
	const char *path;
	bool open; /* told without the token */
	void (*fn)(struct rd_ops *ops, struct evhttp_request *req);
} paths[] = {
    {"/healthz", true, on_healthz},
    {"/readyz", true, on_readyz},
    {"/metrics", false, on_metrics},
};
#define PATHS (sizeof(paths) / sizeof(*paths))

/* "Authorization: Bearer <token>", RFC 6750 section 2.1. */
static bool has_token(const struct rd_ops *ops, struct evkeyvalq *headers)
{
	static const char scheme[] = "Bearer ";
	const char *value = evhttp_find_header(headers, "Authorization");

	if (ops->token.len == 0)
		return true;
	return value != NULL &&
	       strncasecmp(value, scheme, sizeof(scheme) - 1) == 0 &&
	       rd_secret_same(rd_slice_str(value + sizeof(scheme) - 1),
			      rd_buf_slice(&ops->token));
}

static size_t find_path(struct evhttp_request *req)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri == NULL ? NULL : evhttp_uri_get_path(uri);
	size_t i = 0;

	while (i < PATHS && (path == NULL || strcmp(path, paths[i].path) != 0))
		i++;
	return i;
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct rd_ops *ops = arg;
	struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
	const char *host = evhttp_find_header(headers, "Host");
	size_t i = find_path(req);

	rd_guests_asked(&ops->guests, evhttp_request_get_connection(req));
	if (!rd_origin_is_us(ops->cfg, ops->cfg->ops_host,
			     rd_slice_str(host == NULL ? "" : host))) {
		ops->counters.ops_unknown_names++;
		answer_text(ops, req, 403,
			    "This gateway is not known by this name; see "
			    "server-name.");
	} else if (!(i < PATHS && paths[i].open) && !has_token(ops, headers)) {
		ops->counters.ops_denied++;
		evhttp_add_header(evhttp_request_get_output_headers(req),
				  "WWW-Authenticate", "Bearer");
		answer_text(ops, req, 401, "A token is needed.");
	} else if (i < PATHS) {
		paths[i].fn(ops, req);
	} else {
		answer_text(ops, req, HTTP_NOTFOUND, "There is nothing here.");
	}
}

void rd_ops_metric(struct rd_buf *out, const char *name, const char *type,
		   const char *help, uint64_t value)
{
	rd_buf_addf(out,
		    "# HELP redistribute_gateway_%s %s\n"
		    "# TYPE redistribute_gateway_%s %s\n"
		    "redistribute_gateway_%s %" PRIu64 "\n",
		    name, help, name, type, name, value);
}

struct rd_ops_counters rd_ops_counters(const struct rd_ops *ops)
{
	struct rd_ops_counters counters = ops->counters;

	counters.ops_late = ops->guests.late;
	counters.ops_pushed_out = ops->guests.pushed_out;
	return counters;
}

/* ---- life ---- */

/* Certificate and token, all or nothing. */
static int read_files(struct rd_ops *ops, struct rd_buf *why)
{
	const struct rd_config *cfg = ops->cfg;
	struct rd_buf token = RD_BUF_INIT;
	struct rd_tls *tls = NULL;
	int err = RD_OK;

	if (*cfg->ops_cert != '\0')
		err =
		    rd_tls_server(cfg->ops_cert, cfg->ops_cert_key, &tls, why);
	if (err == RD_OK && *cfg->ops_token_file != '\0')
		err = rd_secret_read("ops-token-file", cfg->ops_token_file,
				     &token, why);
	if (err != RD_OK) {
		rd_tls_free(&tls);
		return err;
	}
	rd_tls_free(&ops->tls);
	rd_buf_fini(&ops->token);
	ops->tls = ops->guests.tls = tls;
	ops->token = token;
	return RD_OK;
}

void rd_ops_reload(struct rd_ops *ops)
{
	struct rd_buf why = RD_BUF_INIT;

	if (read_files(ops, &why) != RD_OK)
		rd_log(RD_LOG_ERROR, "gateway.reload", "why=%s",
		       rd_buf_text(&why));
	rd_buf_fini(&why);
}

static int start_listening(struct rd_ops *ops, int port, struct rd_buf *why)
{
	const struct rd_config *cfg = ops->cfg;
	const struct timeval timeout = {cfg->handshake_timeout_ms / 1000,
					cfg->handshake_timeout_ms % 1000 *
					    1000};
	struct evhttp_bound_socket *bound;

	ops->http = evhttp_new(rd_loop_base(ops->loop));
	if (ops->http == NULL)
		abort();
	evhttp_set_timeout_tv(ops->http, &timeout);
	evhttp_set_max_headers_size(ops->http, cfg->max_header_bytes);
	evhttp_set_max_body_size(ops->http, 0);
	evhttp_set_allowed_methods(ops->http, EVHTTP_REQ_GET);
	evhttp_set_gencb(ops->http, on_request, ops);
	bound = evhttp_bind_socket_with_handle(ops->http, cfg->ops_host,
					       (uint16_t)port);
	if (bound == NULL) {
		rd_buf_addf(why, "cannot listen on %s ops-port %d: %s",
			    cfg->ops_host, port, strerror(errno));
		return RD_EIO;
	}
	rd_guests_receive(&ops->guests, ops->http,
			  evhttp_bound_socket_get_listener(bound));
	return RD_OK;
}

int rd_ops_open(struct rd_loop *loop, const struct rd_config *cfg, int index,
		const struct rd_ops_calls *calls, void *arg,
		struct rd_ops **ops_out, struct rd_buf *why)
{
	struct rd_ops *ops = rd_new(struct rd_ops);
	int err;

	ops->loop = loop;
	ops->cfg = cfg;
	ops->calls = calls;
	ops->arg = arg;
	rd_list_init(&ops->waiting);
	rd_guests_init(&ops->guests, loop, cfg);
	err = read_files(ops, why);
	if (err == RD_OK)
		err = start_listening(ops, (int)cfg->ops_port + index, why);
	if (err != RD_OK) {
		rd_ops_close(&ops);
		return err;
	}
	*ops_out = ops;
	return RD_OK;
}

void rd_ops_close(struct rd_ops **ops_inout)
{
	struct rd_ops *ops = *ops_inout;

	if (ops == NULL)
		return;
	rd_ops_looked(ops);
	if (ops->http != NULL)
		evhttp_free(ops->http);
	rd_guests_fini(&ops->guests);
	rd_tls_free(&ops->tls);
	rd_buf_fini(&ops->token);
	free(ops);
	*ops_inout = NULL;
}
