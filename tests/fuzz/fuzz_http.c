/* SPDX-License-Identifier: MIT */
/*
 * fuzz_http.c -- anything at all into gateway/http.c and http_answer.c.
 *
 * The first byte chooses the limit, the second the size of the pieces; the
 * rest is a head, parsed at once and while it grows.  Both must give the same,
 * and every slice of a request must lie in the head and be of the characters
 * that http.h promises.  Then the helpers get what was found.
 */
#include "gateway/extension.h"
#include "gateway/http.h"
#include "gateway/page_name.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* In the head, and no control characters but tabs. */
static void check_slice(struct rd_slice head, struct rd_slice s)
{
	if (s.len == 0)
		return;
	assert(s.data >= head.data && s.data + s.len <= head.data + head.len);
	for (size_t i = 0; i < s.len; i++)
		assert((unsigned char)s.data[i] >= ' ' || s.data[i] == '\t');
}

static void check_list(struct rd_slice head, struct rd_http_list list)
{
	struct rd_slice item;

	for (size_t n = 0; rd_http_list_next(&list, &item); n++) {
		assert(n < head.len && item.len > 0);
		check_slice(head, item);
	}
}

/* No part of a name is hidden, leads up, or ends early. */
static void check_name(const struct rd_http_request *req)
{
	struct rd_buf name = RD_BUF_INIT;

	if (rd_page_name(req->path, &name) == RD_OK) {
		const char *text = rd_buf_text(&name);

		assert(name.len > 0 && strlen(text) == name.len);
		assert(text[0] != '.' && text[0] != '/');
		assert(strstr(text, "/.") == NULL);
		assert(strstr(text, "//") == NULL);
	} else {
		assert(name.len == 0);
	}
	rd_buf_fini(&name);
	(void)rd_page_type(req->path);
	(void)rd_page_is_known(req, "\"a\"");
}

static void check_helpers(struct rd_slice head,
			  const struct rd_http_request *req)
{
	struct rd_buf out = RD_BUF_INIT, extension = RD_BUF_INIT;
	struct rd_extension agreed;
	struct rd_slice value;
	const char *why = NULL;
	int status = rd_http_check_upgrade(req, &why);

	assert((status == 0) == (why == NULL));
	if (rd_http_unescape(req->path, &out) == RD_OK)
		assert(out.len <= req->path.len);
	else
		assert(out.len == 0);
	if (rd_http_query(req->query, "offset", &value))
		check_slice(head, value);
	if (rd_extension_choose(&req->extensions, &agreed))
		rd_extension_answer(&agreed, &extension);
	rd_buf_clear(&out);
	if (status == 0)
		rd_http_switch(&out, req->ws_key, NULL,
			       rd_buf_slice(&extension));
	rd_http_answer(&out, status, why, req->target, NULL, req->minor > 0);
	rd_buf_fini(&out);
	rd_buf_fini(&extension);
	check_name(req);
}

static void check_request(struct rd_slice head,
			  const struct rd_http_request *req)
{
	check_slice(head, req->method);
	check_slice(head, req->target);
	if (req->path.data[0] != '/' || req->path.len > 1)
		check_slice(head, req->path);
	assert(req->path.len > 0 && req->path.data[0] == '/');
	check_slice(head, req->query);
	check_slice(head, req->host);
	check_slice(head, req->origin);
	check_slice(head, req->ws_key);
	assert(req->ws_key.len == 0 || req->ws_key.len == 24);
	check_list(head, req->protocols);
	check_list(head, req->extensions);
	check_helpers(head, req);
}

/* Parses the first len bytes, in memory of exactly that size. */
static int parse(const uint8_t *data, size_t len, size_t max, size_t *used)
{
	char *copy = malloc(len > 0 ? len : 1);
	struct rd_slice head = {copy, len};
	struct rd_http_request req;
	int err;

	if (len > 0)
		memcpy(copy, data, len);
	err = rd_http_parse(head, max, &req, used);
	if (err == RD_OK) {
		assert(*used > 0 && *used <= len && *used <= max);
		head.len = *used;
		check_request(head, &req);
	}
	free(copy);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t whole_used = 0, used = 0, n = 0, max, step;
	int whole, err;

	if (len < 2)
		return 0;
	max = data[0] == 0 ? 8192 : data[0] * 4u;
	step = data[1] == 0 ? 1 : data[1];
	data += 2;
	len -= 2;
	whole = parse(data, len, max, &whole_used);
	do {
		n = len - n < step ? len : n + step;
		err = parse(data, n, max, &used);
		assert(err != RD_EAGAIN || used == n);
	} while (err == RD_EAGAIN && n < len);
	assert(err == whole);
	assert(err != RD_OK || used == whole_used);
	return 0;
}
