/* SPDX-License-Identifier: MIT */
/*
 * http.c -- reads one HTTP/1.1 request head; see http.h.
 *
 * Two passes.  While the head comes in, each new byte is looked at once: does
 * it end the head, and may it stand in one at all?  So a client that speaks
 * something else, or ends its lines otherwise, is refused at its first wrong
 * byte, and one that sends a byte at a time costs no more than one that does
 * not.  When the blank line is there, the second pass reads lines and fields.
 *
 * The headers that matter are a table of name and function.  All others are
 * checked for their form and stay where they are.
 *
 * Not here: lines and lists (http_field.c), bodies (conn.c), answers
 * (http_answer.c), paths (router.c).
 */
#include "gateway/http_impl.h"
#include "gateway/crypto.h"

/* Digits only, no more than fit; RD_EFORMAT otherwise. */
static int number(struct rd_slice s, uint64_t *n_out)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.data[i] - (unsigned)'0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return RD_EFORMAT;
		n = n * 10 + digit;
	}
	*n_out = n;
	return s.len > 0 ? RD_OK : RD_EFORMAT;
}

static bool lists(struct rd_slice value, const char *wanted)
{
	struct rd_http_list list = {.rest = value};
	struct rd_slice item;

	while (rd_http_list_next(&list, &item))
		if (rd_http_same(item, rd_slice_str(wanted)))
			return true;
	return false;
}

/* --- the headers that matter --------------------------------------------- */

/* Stores a value that may come once only. */
static int once(struct rd_slice *slot, struct rd_slice value)
{
	if (slot->data != NULL)
		return RD_EFORMAT;
	*slot = value;
	return RD_OK;
}

static int on_host(struct rd_http_request *req, const struct rd_http_field *f)
{
	if (!rd_http_all(f->value, RD_HTTP_HOST))
		return RD_EFORMAT;
	return once(&req->host, f->value);
}

static int on_upgrade(struct rd_http_request *req,
		      const struct rd_http_field *f)
{
	req->upgrade_websocket |= lists(f->value, "websocket");
	return RD_OK;
}

static int on_connection(struct rd_http_request *req,
			 const struct rd_http_field *f)
{
	req->connection_upgrade |= lists(f->value, "upgrade");
	return RD_OK;
}

static int on_version(struct rd_http_request *req,
		      const struct rd_http_field *f)
{
	uint64_t n;

	if (req->ws_version != 0)
		return RD_EFORMAT;
	if (number(f->value, &n) == RD_OK && n <= 255)
		req->ws_version = (int)n;
	return RD_OK;
}

/* The first line begins the list, the walk finds the others. */
static int begin_list(struct rd_http_list *list, const struct rd_http_field *f)
{
	if (list->name.len == 0)
		*list = (struct rd_http_list){f->value, f->below, f->name};
	return RD_OK;
}

static int on_protocol(struct rd_http_request *req,
		       const struct rd_http_field *f)
{
	return begin_list(&req->protocols, f);
}

static int on_extensions(struct rd_http_request *req,
			 const struct rd_http_field *f)
{
	return begin_list(&req->extensions, f);
}

static int on_length(struct rd_http_request *req, const struct rd_http_field *f)
{
	struct rd_slice again, below = f->below;

	if (rd_http_find_field(&below, f->name, &again))
		return RD_EFORMAT;
	req->has_length = true;
	return number(f->value, &req->content_length);
}

static int on_expect(struct rd_http_request *req, const struct rd_http_field *f)
{
	req->expects_continue |= lists(f->value, "100-continue");
	return RD_OK;
}

static int on_transfer_encoding(struct rd_http_request *req,
				const struct rd_http_field *f)
{
	(void)f;
	req->transfer_encoding = true;
	return RD_OK;
}

#define SLOT(member) offsetof(struct rd_http_request, member)

static const struct header {
	const char *name;
	int (*take)(struct rd_http_request *req, const struct rd_http_field *f);
	size_t slot; /* without a function: where to keep the only value */
} headers[] = {
    {"Host", on_host, 0},
    {"Origin", NULL, SLOT(origin)},
    {"User-Agent", NULL, SLOT(agent)},
    {"Content-Type", NULL, SLOT(content_type)},
    {"Last-Event-ID", NULL, SLOT(last_event_id)},
    {"Expect", on_expect, 0},
    {"Upgrade", on_upgrade, 0},
    {"Connection", on_connection, 0},
    {"Sec-WebSocket-Key", NULL, SLOT(ws_key)}, /* see check_key() */
    {"Sec-WebSocket-Version", on_version, 0},
    {"Sec-WebSocket-Protocol", on_protocol, 0},
    {"Sec-WebSocket-Extensions", on_extensions, 0},
    {"Content-Length", on_length, 0},
    {"Transfer-Encoding", on_transfer_encoding, 0},
};

static int take_header(struct rd_http_request *req,
		       const struct rd_http_field *f)
{
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		const struct header *h = &headers[i];

		if (!rd_http_same(f->name, rd_slice_str(h->name)))
			continue;
		if (h->take != NULL)
			return h->take(req, f);
		return once((void *)((char *)req + h->slot), f->value);
	}
	return RD_OK;
}

static int parse_headers(struct rd_http_request *req)
{
	struct rd_slice lines = req->lines;
	struct rd_http_field field;
	int err = RD_OK;

	while (err == RD_OK && lines.len > 0) {
		err = rd_http_take_field(&lines, &field);
		if (err == RD_OK)
			err = take_header(req, &field);
	}
	return err;
}

/* --- the request line, RFC 9112 section 3 -------------------------------- */

/* Takes "http://" and its like off an absolute target, and the authority. */
static int take_authority(struct rd_slice *target, struct rd_slice *host_out)
{
	static const char *const schemes[] = {"http://", "https://", "ws://",
					      "wss://"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		struct rd_slice scheme = rd_slice_str(schemes[i]);
		size_t n = 0;

		if (target->len < scheme.len ||
		    !rd_http_same((struct rd_slice){target->data, scheme.len},
				  scheme))
			continue;
		*target = rd_http_skip(*target, scheme.len);
		while (n < target->len && target->data[n] != '/' &&
		       target->data[n] != '?')
			n++;
		*host_out = (struct rd_slice){target->data, n};
		*target = rd_http_skip(*target, n);
		return n > 0 && rd_http_all(*host_out, RD_HTTP_HOST)
			   ? RD_OK
			   : RD_EFORMAT;
	}
	return RD_EFORMAT;
}

/* Origin form or absolute form; no fragment, visible ASCII only.  The host of
 * an absolute target goes to host_out, else that is left alone. */
static int parse_target(struct rd_http_request *req, struct rd_slice *host_out)
{
	struct rd_slice rest = req->target;

	for (size_t i = 0; i < rest.len; i++)
		if (rest.data[i] <= ' ' || rest.data[i] > '~' ||
		    rest.data[i] == '#')
			return RD_EFORMAT;
	if (rest.len == 0)
		return RD_EFORMAT;
	if (rest.data[0] != '/' && take_authority(&rest, host_out) != RD_OK)
		return RD_EFORMAT;
	if (rd_http_cut(&rest, '?', &req->path))
		req->query = rest;
	else
		req->path = rest;
	if (req->path.len == 0)
		req->path = rd_slice_str("/");
	return RD_OK;
}

static int parse_version(struct rd_slice s, int *minor_out)
{
	static const char major[] = "HTTP/1.";

	if (s.len != sizeof(major) || memcmp(s.data, major, s.len - 1) != 0 ||
	    s.data[s.len - 1] < '0' || s.data[s.len - 1] > '9')
		return RD_EFORMAT;
	*minor_out = s.data[s.len - 1] - '0';
	return RD_OK;
}

static int parse_request_line(struct rd_slice line, struct rd_http_request *req,
			      struct rd_slice *host_out)
{
	if (!rd_http_cut(&line, ' ', &req->method) || req->method.len == 0 ||
	    !rd_http_all(req->method, RD_HTTP_TOKEN) ||
	    !rd_http_cut(&line, ' ', &req->target) ||
	    parse_version(line, &req->minor) != RD_OK)
		return RD_EFORMAT;
	return parse_target(req, host_out);
}

/* --- the head ------------------------------------------------------------ */

/* 16 bytes are 22 characters of base64 and "==". */
static void check_key(struct rd_slice *key)
{
	if (key->len != RD_WS_KEY_LEN || key->data[22] != '=' ||
	    key->data[23] != '=' ||
	    !rd_http_all((struct rd_slice){key->data, 22}, RD_HTTP_BASE64))
		*key = (struct rd_slice){NULL, 0};
}

/* The second pass: head is complete and its lines end as they must. */
static int parse(struct rd_slice head, struct rd_http_request *req)
{
	struct rd_slice host = {NULL, 0}, line;
	int err;

	head.len -= 2; /* the blank line */
	if (!rd_http_cut(&head, '\r', &line))
		return RD_EFORMAT;
	req->lines = rd_http_skip(head, 1);
	err = parse_request_line(line, req, &host);
	if (err == RD_OK)
		err = parse_headers(req);
	if (err != RD_OK)
		return err;
	if (req->minor > 0 && req->host.data == NULL)
		return RD_EFORMAT; /* RFC 9112 section 3.2 */
	if (host.data != NULL)
		req->host = host;
	check_key(&req->ws_key);
	return RD_OK;
}

/*
 * The first pass, from *at: RD_OK when *at is behind the blank line,
 * RD_EAGAIN at the end of the bytes, RD_EFORMAT at a byte that may not be
 * there.  A CR that is last is judged with the byte behind it.
 */
static int scan(struct rd_slice head, size_t *at)
{
	for (size_t i = *at; i < head.len; i++) {
		unsigned char c = (unsigned char)head.data[i];
		bool after_cr = i > 0 && head.data[i - 1] == '\r';

		*at = i;
		if (after_cr != (c == '\n'))
			return RD_EFORMAT;
		if (c == '\n' && i >= 3 && head.data[i - 2] == '\n') {
			*at = i + 1;
			return RD_OK;
		}
		if ((c < ' ' && c != '\r' && c != '\n' && c != '\t') ||
		    c == 0x7f)
			return RD_EFORMAT;
	}
	*at = head.len;
	return RD_EAGAIN;
}

int rd_http_parse(struct rd_slice head, size_t max_head,
		  struct rd_http_request *req_out, size_t *used_inout)
{
	struct rd_http_request req = {.minor = 0};
	int err;

	if (head.len > max_head)
		head.len = max_head;
	err = scan(head, used_inout);
	if (err == RD_EAGAIN && head.len == max_head)
		return RD_ETOOBIG;
	if (err != RD_OK)
		return err;
	head.len = *used_inout;
	err = parse(head, &req);
	if (err == RD_OK)
		*req_out = req;
	return err;
}
