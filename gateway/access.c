/* SPDX-License-Identifier: MIT */
/*
 * access.c -- the access log; see access.h.
 *
 * Not here: what may be done (rules, origin.c, asks.c).
 */
#include "gateway/access.h"
#include "gateway/conn_impl.h"
#include "src/log.h"

#define TEXT_MAX 200 /* bytes of a sentence */

void rd_access_connect(struct rd_conn *c, const struct rd_http_request *req)
{
	struct rd_buf address = RD_BUF_INIT;

	if (!c->conns->limits.access_log)
		return;
	c->number = ++c->conns->numbers;
	c->told = true;
	rd_conn_address(c, &address);
	rd_log(RD_LOG_INFO, "access.connect",
	       "conn=%u address=%s method=%.*s path=%.*s origin=%.*s",
	       c->number, rd_buf_text(&address), RD_SLICE_ARG(req->method),
	       RD_SLICE_ARG(req->path), RD_SLICE_ARG(req->origin));
	rd_buf_fini(&address);
}

void rd_access_answered(struct rd_conn *c, int status, struct rd_slice text)
{
	size_t len = 0;

	if (!c->told)
		return;
	if (status < 400) {
		rd_access_end(c, "gateway", (unsigned)status, "answered");
		return;
	}
	c->told = false;
	while (len < text.len && len < TEXT_MAX && text.data[len] != '\n')
		len++;
	text.len = len;
	rd_log(RD_LOG_INFO, "access.denied", "conn=%u code=%d why=%.*s",
	       c->number, status, RD_SLICE_ARG(text));
}

void rd_access_end(struct rd_conn *c, const char *by, unsigned code,
		   const char *why)
{
	if (!c->told)
		return;
	c->told = false;
	rd_log(RD_LOG_INFO, "access.disconnect", "conn=%u by=%s code=%u why=%s",
	       c->number, by, code, why);
}

void rd_access_denied(struct rd_conn *c, struct rd_slice channel,
		      const char *why)
{
	if (c->conns->limits.access_log)
		rd_log(RD_LOG_INFO, "access.denied",
		       "conn=%u channel=%.*s why=%s", c->number,
		       RD_SLICE_ARG(channel), why);
}
