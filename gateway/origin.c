/* SPDX-License-Identifier: MIT */
/*
 * origin.c -- may a page of this origin open a connection? see origin.h.
 */
#include "gateway/origin.h"

#include <strings.h>

static bool equal_nocase(struct rd_slice a, struct rd_slice b)
{
	return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

/* The host of "host:port", "[v6]:port" or either without a port; empty where
 * it is none of these. */
static struct rd_slice host_of(struct rd_slice authority)
{
	const char *all_end = authority.data + authority.len, *end = NULL;

	if (authority.len > 0 && authority.data[0] == '[')
		end = memchr(authority.data, ']', authority.len);
	if (end != NULL)
		end++;
	else
		end = memchr(authority.data, ':', authority.len);
	if (end == NULL)
		return authority;
	authority.len = (size_t)(end - authority.data);
	for (const char *p = end + 1; p < all_end; p++)
		if (*p < '0' || *p > '9')
			authority.len = 0;
	if (end < all_end && *end != ':')
		authority.len = 0;
	return authority;
}

static bool is_loopback(struct rd_slice host)
{
	return equal_nocase(host, rd_slice_str("localhost")) ||
	       rd_slice_is(host, "[::1]") ||
	       (host.len >= 4 && !memcmp(host.data, "127.", 4) &&
		strspn(host.data, "0123456789.") >= host.len);
}

static bool same_host(struct rd_slice origin, struct rd_slice host)
{
	const char *slashes = memmem(origin.data, origin.len, "://", 3);
	struct rd_slice theirs;

	if (slashes == NULL) /* "null": a file, or a sandboxed frame */
		return false;
	theirs.data = slashes + 3;
	theirs.len = origin.len - (size_t)(theirs.data - origin.data);
	theirs = host_of(theirs);
	host = host_of(host);
	if (theirs.len == 0)
		return false;
	return equal_nocase(theirs, host) ||
	       (is_loopback(theirs) && is_loopback(host));
}

bool rd_origin_allowed(const struct rd_strings *allowed, struct rd_slice origin,
		       struct rd_slice host)
{
	if (origin.len == 0)
		return true;
	if (allowed->count == 0)
		return same_host(origin, host);
	for (int i = 0; i < allowed->count; i++)
		if (!strcmp(allowed->items[i], "*") ||
		    equal_nocase(origin, rd_slice_str(allowed->items[i])))
			return true;
	return false;
}

void rd_origin_headers(struct rd_slice origin, struct rd_buf *out)
{
	if (origin.len == 0)
		return;
	rd_buf_addf(out,
		    "Access-Control-Allow-Origin: %.*s\r\nVary: Origin\r\n",
		    RD_SLICE_ARG(origin));
}
