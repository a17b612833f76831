/* SPDX-License-Identifier: MIT */
/*
 * redis_greet.c -- the first words on a new connection.
 *
 * All of them are sent at once.  Who we are (AUTH) and where we work (SELECT)
 * must be accepted; a name is a courtesy that may be refused.  The last one is
 * PING, because it is refused where the others are not: while the server loads
 * its data, while a replica has lost its master, and for want of a password.
 */
#include "src/mem.h"
#include "src/redis_link.h"

#include <stdlib.h>

static void refused(struct rd_redis *link, const char *what,
		    const struct rd_reply *r)
{
	char *why = rd_asprintf("%s: %s", what, r->str.data);

	rd_link_cut(link, why);
	free(why);
}

static void on_auth(void *arg, int err, const struct rd_reply *r)
{
	if (err == RD_EREDIS)
		refused(arg, "the server refused the password", r);
}

static void on_select(void *arg, int err, const struct rd_reply *r)
{
	if (err == RD_EREDIS)
		refused(arg, "the server refused the database", r);
}

/* A name is a courtesy; but the server may say here why it hangs up. */
static void on_setname(void *arg, int err, const struct rd_reply *r)
{
	struct rd_redis *link = arg;

	if (err == RD_EREDIS)
		rd_buf_addslice(&link->complaint, r->str);
}

static void on_id(void *arg, int err, const struct rd_reply *r)
{
	struct rd_redis *link = arg;

	if (err == RD_OK)
		link->client_id = rd_reply_int(r, 0);
}

static void on_serves(void *arg, int err, const struct rd_reply *r)
{
	struct rd_redis *link = arg;

	if (err == RD_EUNKNOWN)
		return;
	/* A user may be allowed to do everything but to PING. */
	if (err == RD_EREDIS && !rd_reply_is_error(r, "NOPERM")) {
		refused(link, "the server does not serve", r);
		return;
	}
	if (err == RD_OK && !rd_slice_is(r->str, "PONG")) {
		rd_link_cut(link, "the server does not speak as Redis does");
		return;
	}
	rd_link_came_up(link);
}

void rd_link_greet(struct rd_redis *link)
{
	const struct rd_uri *uri = link->uri;

	if (uri->password != NULL && uri->user != NULL)
		rd_link_submit(link, on_auth, "AUTH %s %s", uri->user,
			       uri->password);
	else if (uri->password != NULL)
		rd_link_submit(link, on_auth, "AUTH %s", uri->password);
	if (uri->db != 0)
		rd_link_submit(link, on_select, "SELECT %d", uri->db);
	rd_link_submit(link, on_setname, "CLIENT SETNAME %s", link->name);
	rd_link_submit(link, on_id, "CLIENT ID");
	/* Unlike the others, refused while the server loads its data. */
	rd_link_submit(link, on_serves, "PING");
}
