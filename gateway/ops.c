/* SPDX-License-Identifier: MIT */
/*
 * ops.c -- the operator's port; see ops.h.  The only user of evhttp.
 *
 * /healthz says that the process turns its loop; /readyz that it can serve;
 * they differ while Redis is away, when a restart would help nobody.
 *
 * Metrics may have to be fetched first; the request waits meanwhile.  A client
 * that goes away then leaves its request to us: answering it frees it.
 */
#include "gateway/ops.h"
#include "src/mem.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <inttypes.h>
#include <stdlib.h>

#define TIMEOUT_S 10

struct rd_ops {
	struct evhttp *http; /* owned */
	const struct rd_ops_calls *calls;
	void *arg;
	struct rd_list waiting; /* of struct waiting */
};

/* Somebody waits for metrics. */
struct waiting {
	struct rd_list link;
	struct evhttp_request *req; /* ours until it is answered */
};

static void answer(struct evhttp_request *req, int status, const char *type,
		   const struct rd_buf *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *out = evbuffer_new();

	if (out == NULL)
		abort();
	evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evbuffer_add(out, rd_buf_data(body), body->len);
	evhttp_send_reply(req, status, NULL, out);
	evbuffer_free(out);
}

static void on_healthz(struct evhttp_request *req, void *arg)
{
	struct rd_buf body = RD_BUF_INIT;

	(void)arg;
	rd_buf_adds(&body, "ok\n");
	answer(req, HTTP_OK, "text/plain; charset=utf-8", &body);
	rd_buf_fini(&body);
}

static void on_readyz(struct evhttp_request *req, void *arg)
{
	struct rd_ops *ops = arg;
	struct rd_buf body = RD_BUF_INIT;
	bool ready = ops->calls->ready(ops->arg, &body);

	rd_buf_adds(&body, ready ? "ready\n" : "\n");
	answer(req, ready ? HTTP_OK : HTTP_SERVUNAVAIL,
	       "text/plain; charset=utf-8", &body);
	rd_buf_fini(&body);
}

static void answer_metrics(struct rd_ops *ops, struct evhttp_request *req)
{
	struct rd_buf body = RD_BUF_INIT;

	ops->calls->metrics(ops->arg, &body);
	answer(req, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &body);
	rd_buf_fini(&body);
}

static void on_metrics(struct evhttp_request *req, void *arg)
{
	struct rd_ops *ops = arg;
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

void rd_ops_metric(struct rd_buf *out, const char *name, const char *type,
		   const char *help, uint64_t value)
{
	rd_buf_addf(out,
		    "# HELP redistribute_gateway_%s %s\n"
		    "# TYPE redistribute_gateway_%s %s\n"
		    "redistribute_gateway_%s %" PRIu64 "\n",
		    name, help, name, type, name, value);
}

int rd_ops_open(struct rd_loop *loop, const char *host, int port,
		const struct rd_ops_calls *calls, void *arg,
		struct rd_ops **ops_out, struct rd_buf *why)
{
	struct rd_ops *ops = rd_new(struct rd_ops);

	ops->calls = calls;
	ops->arg = arg;
	rd_list_init(&ops->waiting);
	ops->http = evhttp_new(rd_loop_base(loop));
	if (ops->http == NULL)
		abort();
	evhttp_set_timeout(ops->http, TIMEOUT_S);
	evhttp_set_allowed_methods(ops->http, EVHTTP_REQ_GET);
	evhttp_set_cb(ops->http, "/healthz", on_healthz, ops);
	evhttp_set_cb(ops->http, "/readyz", on_readyz, ops);
	evhttp_set_cb(ops->http, "/metrics", on_metrics, ops);
	if (evhttp_bind_socket(ops->http, host, (uint16_t)port) != 0) {
		rd_buf_addf(why, "cannot listen on %s ops-port %d: %s", host,
			    port, strerror(errno));
		rd_ops_close(&ops);
		return RD_EIO;
	}
	*ops_out = ops;
	return RD_OK;
}

void rd_ops_close(struct rd_ops **ops)
{
	if (*ops == NULL)
		return;
	rd_ops_looked(*ops);
	evhttp_free((*ops)->http);
	free(*ops);
	*ops = NULL;
}
