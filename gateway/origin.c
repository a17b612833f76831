/* SPDX-License-Identifier: MIT */
/*
 * origin.c -- may a page of this origin open a connection? see origin.h.
 *
 * That origin and host agree proves nothing: whoever has a name may let it mean
 * our address after his page was loaded (DNS rebinding), and then both are his.
 * So the host must be ours first.  A browser that reads from what it takes for
 * the page's own server tells no origin at all; there the host is all we know.
 */
#include "gateway/origin.h"

#include <arpa/inet.h>
#include <strings.h>

#define HOST_TEXT 256 /* no name is longer */

/* Of "host:port", "[v6]:port", or either without a port. */
struct authority {
	struct rd_slice host; /* v6 with its brackets; not empty */
	unsigned port;        /* the scheme's where none is said */
};

static bool equal_nocase(struct rd_slice a, struct rd_slice b)
{
	return a.len == b.len && a.len > 0 &&
	       strncasecmp(a.data, b.data, a.len) == 0;
}

/* Behind the host: nothing, or a colon and a number. */
static bool read_port(struct rd_slice s, unsigned *port)
{
	unsigned n = 0;

	if (s.len == 0)
		return true;
	if (s.len < 2 || s.data[0] != ':')
		return false;
	for (size_t i = 1; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9' || n > 65535)
			return false;
		n = n * 10 + (unsigned)(s.data[i] - '0');
	}
	*port = n;
	return n <= 65535;
}

static bool read_authority(struct rd_slice s, bool secure,
			   struct authority *a_out)
{
	struct authority a = {s, secure ? 443 : 80};
	char stop = s.len > 0 && s.data[0] == '[' ? ']' : ':';
	size_t n = 0;

	while (n < s.len && s.data[n] != stop)
		n++;
	if (stop == ']' && n++ == s.len)
		return false;
	a.host.len = n;
	*a_out = a;
	return n > 0 && read_port((struct rd_slice){s.data + n, s.len - n},
				  &a_out->port);
}

static bool is_numeric(struct rd_slice host)
{
	for (size_t i = 0; i < host.len; i++)
		if (host.data[i] != '.' &&
		    (host.data[i] < '0' || host.data[i] > '9'))
			return false;
	return true;
}

static bool is_loopback(struct rd_slice host)
{
	return equal_nocase(host, rd_slice_str("localhost")) ||
	       rd_slice_is(host, "[::1]") ||
	       (host.len >= 4 && !memcmp(host.data, "127.", 4) &&
		is_numeric(host));
}

static bool is_address(struct rd_slice host)
{
	char text[HOST_TEXT];
	struct in6_addr any;
	bool v6 = host.len > 2 && host.data[0] == '[';

	if (host.len >= sizeof(text))
		return false;
	memcpy(text, host.data, host.len);
	text[host.len] = '\0';
	if (v6)
		text[host.len - 1] = '\0';
	return inet_pton(v6 ? AF_INET6 : AF_INET, text + v6, &any) == 1;
}

/* Takes "scheme://" off an origin; false for one without: "null" is a file, or
 * a sandboxed frame. */
static bool take_scheme(struct rd_slice *origin, struct rd_slice *scheme_out)
{
	const char *at = origin->len == 0
			     ? NULL
			     : memmem(origin->data, origin->len, "://", 3);

	if (at == NULL)
		return false;
	*scheme_out =
	    (struct rd_slice){origin->data, (size_t)(at - origin->data)};
	origin->len -= scheme_out->len + 3;
	origin->data = at + 3;
	return true;
}

static bool is_listed(const struct rd_config *cfg, struct rd_slice host)
{
	for (int i = 0; i < cfg->server_name.count; i++)
		if (equal_nocase(host, rd_slice_str(cfg->server_name.items[i])))
			return true;
	for (int i = 0; i < cfg->origin.count; i++) {
		struct rd_slice scheme,
		    rest = rd_slice_str(cfg->origin.items[i]);
		struct authority a;

		if (rd_slice_is(rest, "*") ||
		    (take_scheme(&rest, &scheme) &&
		     read_authority(rest, false, &a) &&
		     equal_nocase(host, a.host)))
			return true;
	}
	return false;
}

static bool is_ours(const struct rd_config *cfg, const char *bound,
		    struct rd_slice host)
{
	return is_loopback(host) || is_address(host) ||
	       equal_nocase(host, rd_slice_str(bound)) || is_listed(cfg, host);
}

bool rd_origin_is_us(const struct rd_config *cfg, const char *bound,
		     struct rd_slice host)
{
	struct authority a;

	return host.len == 0 ||
	       (read_authority(host, false, &a) && is_ours(cfg, bound, a.host));
}

/* A page of this gateway's own? */
static bool is_own(const struct rd_config *cfg, struct rd_slice origin,
		   struct rd_slice host)
{
	bool secure = *cfg->cert != '\0';
	struct authority theirs, ours;
	struct rd_slice scheme;

	return take_scheme(&origin, &scheme) &&
	       equal_nocase(scheme, rd_slice_str(secure ? "https" : "http")) &&
	       read_authority(origin, secure, &theirs) &&
	       read_authority(host, secure, &ours) &&
	       theirs.port == ours.port &&
	       (equal_nocase(theirs.host, ours.host) ||
		(is_loopback(theirs.host) && is_loopback(ours.host))) &&
	       is_ours(cfg, cfg->host, ours.host);
}

bool rd_origin_allowed(const struct rd_config *cfg, struct rd_slice origin,
		       struct rd_slice host)
{
	if (origin.len == 0)
		return true;
	if (cfg->origin.count == 0)
		return is_own(cfg, origin, host);
	for (int i = 0; i < cfg->origin.count; i++)
		if (!strcmp(cfg->origin.items[i], "*") ||
		    equal_nocase(origin, rd_slice_str(cfg->origin.items[i])))
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
