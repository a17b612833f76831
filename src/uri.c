/* SPDX-License-Identifier: MIT */
/*
 * uri.c -- the address of a Redis server; see uri.h for the forms.
 *
 * The text is cut from the left: scheme, authority up to the first '/', user
 * and password up to the last '@' of that, host, port, path.  Nothing is
 * guessed: what is left over, unknown or empty is an error.
 *
 * A password that holds a '/' which was not encoded ends up in what looks like
 * host or path.  So no sentence here quotes any of the text, but the scheme.
 */
#include "src/uri.h"
#include "src/mem.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/un.h>

#define DEFAULT_PORT 6379

static struct rd_slice cut(struct rd_slice s, size_t from, size_t to)
{
	return (struct rd_slice){s.data + from, to - from};
}

/* The index of the first of these characters, or s.len. */
static size_t find(struct rd_slice s, const char *chars)
{
	size_t i = 0;

	while (i < s.len && (s.data[i] == '\0' || !strchr(chars, s.data[i])))
		i++;
	return i;
}

static int refuse(struct rd_buf *why, const char *text)
{
	rd_buf_adds(why, text);
	return RD_EINVAL;
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* The percent-decoded text; NULL where it is malformed or holds a NUL. */
static char *decode(struct rd_slice s)
{
	char *out = rd_alloc(s.len + 1), *p = out;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (c == '%') {
			int high = i + 2 < s.len ? hex(s.data[i + 1]) : -1;
			int low = i + 2 < s.len ? hex(s.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				goto fail;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0')
			goto fail;
		*p++ = c;
	}
	*p = '\0';
	return out;
fail:
	free(out);
	return NULL;
}

/* A number of decimal digits only, at most max. */
static bool parse_number(struct rd_slice s, int max, int *n_out)
{
	int64_t n = 0;

	if (s.len == 0 || s.len > 10)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		n = n * 10 + (s.data[i] - '0');
	}
	*n_out = (int)n;
	return n <= max;
}

/* "user:password" or ":password" */
static int parse_login(struct rd_slice s, struct rd_uri *uri,
		       struct rd_buf *why)
{
	size_t colon = find(s, ":");

	if (colon == s.len)
		return refuse(why, "expected user:password@ or :password@ "
				   "before the host");
	if (colon > 0) {
		uri->user = decode(cut(s, 0, colon));
		if (uri->user == NULL)
			return refuse(why, "the user is not percent-encoded "
					   "as it should be");
	} else if (s.len == 1) {
		return RD_OK;
	}
	uri->password = decode(cut(s, colon + 1, s.len));
	if (uri->password == NULL)
		return refuse(why, "the password is not percent-encoded as it "
				   "should be");
	return RD_OK;
}

static bool is_host_name(struct rd_slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c >= '0' && c <= '9') || c == '.' || c == '-' ||
		      c == '_'))
			return false;
	}
	return s.len > 0 && s.len < 256;
}

/* Takes "[::1]" off the front; false where it is no address. */
static bool parse_ipv6(struct rd_slice s, struct rd_uri *uri, size_t *end_out)
{
	size_t close = find(s, "]");
	struct in6_addr address;

	if (close == s.len)
		return false;
	uri->host = rd_strndup(s.data + 1, close - 1);
	*end_out = close + 1;
	return strlen(uri->host) == close - 1 &&
	       inet_pton(AF_INET6, uri->host, &address) == 1;
}

/* "host", "host:port", "[::1]:port" */
static int parse_host(struct rd_slice s, struct rd_uri *uri, struct rd_buf *why)
{
	size_t end;

	uri->port = DEFAULT_PORT;
	if (s.len > 0 && s.data[0] == '[') {
		if (!parse_ipv6(s, uri, &end))
			return refuse(why, "expected an IPv6 address between "
					   "the square brackets");
	} else {
		end = find(s, ":");
		if (!is_host_name(cut(s, 0, end)))
			return refuse(why, "expected a host name or address");
		uri->host = rd_strndup(s.data, end);
	}
	if (end < s.len &&
	    (s.data[end] != ':' ||
	     !parse_number(cut(s, end + 1, s.len), 65535, &uri->port) ||
	     uri->port == 0))
		return refuse(why, "expected a port from 1 to 65535 behind the "
				   "host");
	return RD_OK;
}

/* What follows redis:// or rediss:// */
static int parse_tcp(struct rd_slice s, struct rd_uri *uri, struct rd_buf *why)
{
	struct rd_slice authority = cut(s, 0, find(s, "/?#"));
	size_t at = authority.len;
	int err = RD_OK;

	while (at > 0 && authority.data[at - 1] != '@')
		at--;
	if (at > 0)
		err = parse_login(cut(authority, 0, at - 1), uri, why);
	if (err == RD_OK)
		err = parse_host(cut(authority, at, authority.len), uri, why);
	if (err != RD_OK)
		return err;
	s = cut(s, authority.len, s.len);
	if (s.len == 0 || rd_slice_is(s, "/"))
		return RD_OK;
	if (s.data[0] != '/' ||
	    !parse_number(cut(s, 1, s.len), INT_MAX, &uri->db))
		return refuse(why, "expected /N, the number of a database, "
				   "or nothing behind host and port");
	return RD_OK;
}

/* One "name=value" behind the path of a socket. */
static int parse_parameter(struct rd_slice s, struct rd_uri *uri,
			   struct rd_buf *why)
{
	size_t eq = find(s, "=");
	struct rd_slice name = cut(s, 0, eq);
	struct rd_slice value = cut(s, eq < s.len ? eq + 1 : eq, s.len);
	char **text = NULL;

	if (rd_slice_is(name, "db"))
		return parse_number(value, INT_MAX, &uri->db)
			   ? RD_OK
			   : refuse(why, "expected db=N, the number of a "
					 "database");
	if (rd_slice_is(name, "user"))
		text = &uri->user;
	else if (rd_slice_is(name, "password"))
		text = &uri->password;
	if (text == NULL || *text != NULL)
		return refuse(why, "expected db, user and password, each at "
				   "most once, behind the path");
	*text = decode(value);
	if (*text == NULL)
		return refuse(why, "user or password are not percent-encoded "
				   "as they should be");
	return RD_OK;
}

/* What follows unix:// */
static int parse_unix(struct rd_slice s, struct rd_uri *uri, struct rd_buf *why)
{
	struct rd_slice path = cut(s, 0, find(s, "?#"));
	int err = RD_OK;

	/* A comma would hide that several addresses were meant. */
	if (path.len < 2 || path.data[0] != '/' || find(path, ",") < path.len)
		return refuse(why, "expected unix:///path/to/socket (a comma "
				   "in the path is written %2C)");
	uri->path = decode(path);
	if (uri->path == NULL)
		return refuse(why, "the path is not percent-encoded as it "
				   "should be");
	if (strlen(uri->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return refuse(why, "the path of the socket is longer than 107 "
				   "bytes");
	s = cut(s, path.len, s.len);
	if (s.len > 0 && s.data[0] == '#')
		return refuse(why, "expected nothing behind the path but "
				   "?db=N&user=U&password=P");
	while (err == RD_OK && s.len > 1) {
		s = cut(s, 1, s.len);
		err = parse_parameter(cut(s, 0, find(s, "&")), uri, why);
		s = cut(s, find(s, "&"), s.len);
	}
	if (err == RD_OK && uri->user != NULL && uri->password == NULL)
		return refuse(why, "a user needs a password");
	return err;
}

static bool strip(struct rd_slice *s, const char *prefix)
{
	size_t len = strlen(prefix);

	if (s->len < len || memcmp(s->data, prefix, len) != 0)
		return false;
	*s = cut(*s, len, s->len);
	return true;
}

/* What may be shown of an address that is not understood. */
static bool is_scheme(struct rd_slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c >= '0' && c <= '9') || c == '+' || c == '-' ||
		      c == '.'))
			return false;
	}
	return s.len > 0 && s.len <= 40;
}

static int parse(struct rd_slice s, struct rd_uri *uri, struct rd_buf *why)
{
	size_t scheme;

	if (s.len == 0)
		return refuse(why, "expected an address, found nothing");
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] <= ' ' || s.data[i] == '\x7f')
			return refuse(why, "an address holds no blanks and no "
					   "control characters");
	if (strip(&s, "unix://"))
		return parse_unix(s, uri, why);
	uri->tls = strip(&s, "rediss://");
	if (uri->tls || strip(&s, "redis://"))
		return parse_tcp(s, uri, why);
	scheme = find(s, ":@/");
	if (scheme + 2 < s.len && !memcmp(s.data + scheme, "://", 3)) {
		rd_buf_adds(why, "expected redis://, rediss:// or unix://, "
				 "found ");
		if (is_scheme(cut(s, 0, scheme)))
			rd_buf_addf(why, "%.*s://", (int)scheme, s.data);
		else
			rd_buf_adds(why, "something else before ://");
		return RD_EINVAL;
	}
	return parse_tcp(s, uri, why);
}

int rd_uri_parse(struct rd_slice text, struct rd_uri *uri_out,
		 struct rd_buf *why)
{
	struct rd_uri uri = {0};
	int err = parse(text, &uri, why);

	if (err == RD_OK)
		*uri_out = uri;
	else
		rd_uri_fini(&uri);
	return err;
}

void rd_uri_fini(struct rd_uri *uri)
{
	free(uri->path);
	free(uri->host);
	free(uri->user);
	free(uri->password);
	*uri = (struct rd_uri){0};
}

static char *copy(const char *text)
{
	return text == NULL ? NULL : rd_strdup(text);
}

void rd_uri_copy(struct rd_uri *to, const struct rd_uri *from)
{
	*to = *from;
	to->path = copy(from->path);
	to->host = copy(from->host);
	to->user = copy(from->user);
	to->password = copy(from->password);
}

static void add_encoded(struct rd_buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c <= ' ' || c >= 0x7f || strchr("%:@?#&=,[]", c) != NULL)
			rd_buf_addf(out, "%%%02X", c);
		else
			rd_buf_addc(out, *text);
	}
}

static void show_unix(const struct rd_uri *uri, struct rd_buf *out)
{
	char mark = '?';

	rd_buf_adds(out, "unix://");
	add_encoded(out, uri->path);
	if (uri->db != 0) {
		rd_buf_addf(out, "%cdb=%d", mark, uri->db);
		mark = '&';
	}
	if (uri->user != NULL) {
		rd_buf_addf(out, "%cuser=", mark);
		add_encoded(out, uri->user);
		mark = '&';
	}
	if (uri->password != NULL)
		rd_buf_addf(out, "%cpassword=***", mark);
}

void rd_uri_show(const struct rd_uri *uri, struct rd_buf *out)
{
	if (uri->path != NULL) {
		show_unix(uri, out);
		return;
	}
	rd_buf_adds(out, uri->tls ? "rediss://" : "redis://");
	if (uri->user != NULL)
		add_encoded(out, uri->user);
	if (uri->password != NULL)
		rd_buf_adds(out, ":***");
	if (uri->user != NULL || uri->password != NULL)
		rd_buf_addc(out, '@');
	if (strchr(uri->host, ':') != NULL)
		rd_buf_addf(out, "[%s]:%d", uri->host, uri->port);
	else
		rd_buf_addf(out, "%s:%d", uri->host, uri->port);
	if (uri->db != 0)
		rd_buf_addf(out, "/%d", uri->db);
}
