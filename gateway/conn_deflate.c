/* SPDX-License-Identifier: MIT */
/*
 * conn_deflate.c -- what is compressed on a connection; see conn_impl.h.
 *
 * A connection knows only in which form its client takes frames.  Compressor
 * and inflater belong to all connections together, because nothing is carried
 * from one message to the next: an idle client that compresses costs as little
 * as one that does not.
 *
 * Not here: compressing itself (deflate.c), the words by which it is agreed on
 * (extension.c).
 */
#include "gateway/conn_impl.h"
#include "gateway/extension.h"
#include "src/log.h"

#define KEEP 65536 /* bytes of scratch that are kept between frames */

void rd_conn_agree(struct rd_conn *c, const struct rd_http_request *req,
		   struct rd_buf *out)
{
	struct rd_extension agreed;

	if (!c->conns->limits.compress ||
	    !rd_extension_choose(&req->extensions, &agreed))
		return;
	c->form = (uint8_t)agreed.form;
	c->conns->counters.compressing++;
	rd_ws_deflate(&c->ws);
	rd_extension_answer(&agreed, out);
}

bool rd_conn_inflate(struct rd_conn *c, bool text,
		     struct rd_slice *payload_inout)
{
	struct rd_conn_counters *counters = &c->conns->counters;
	const char *why;
	int err = rd_inflate_message(c->conns->inflate, *payload_inout, text,
				     payload_inout, &why);

	counters->inflated++;
	if (err == RD_OK)
		return true;
	if (err == RD_ETOOBIG)
		counters->bombs++;
	else
		counters->bad_frames++;
	rd_log(RD_LOG_DEBUG, "conn.inflate", "why=%s", why);
	rd_conn_give_up(c, err == RD_ETOOBIG ? 1009 : 1007, why);
	return false;
}

static bool is_open(const struct rd_conn *c)
{
	return c->state == OPEN || c->state == PINGED;
}

void rd_conn_send(struct rd_conn *c, struct rd_slice frames)
{
	struct rd_buf *squeezed = &c->conns->squeezed;

	if (!is_open(c))
		return;
	if (c->form == RD_FORM_PLAIN ||
	    !rd_deflate_frames(c->conns->deflate, (enum rd_form)c->form, frames,
			       squeezed)) {
		rd_conn_append(c, frames);
		return;
	}
	rd_conn_append(c, rd_buf_slice(squeezed));
	rd_buf_clear(squeezed);
	if (squeezed->cap > KEEP)
		rd_buf_fini(squeezed);
}

void rd_conn_share(struct rd_conn *c, struct rd_shared *frames)
{
	if (is_open(c))
		rd_conn_append(c, rd_shared_in(frames, (enum rd_form)c->form,
					       c->conns->deflate));
}
