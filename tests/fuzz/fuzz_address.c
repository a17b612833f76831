/* SPDX-License-Identifier: MIT */
/*
 * fuzz_address.c -- addresses: src/uri.c, and gateway/origin.c.
 *
 * Lines: the address of a Redis server, the values of Origin and Host, an
 * origin that is configured, a place in a channel, a handler.  An address that
 * is taken is shown, and what is shown is the same address again, whatever the
 * password is.  Who may come does not depend on the case of letters.
 */
#include "gateway/origin.h"
#include "src/config.h"
#include "src/place.h"
#include "src/spec.h"
#include "src/uri.h"
#include "src/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <strings.h>

static void show(struct rd_uri uri, const char *password, struct rd_buf *out)
{
	uri.password = (char *)password;
	rd_buf_clear(out);
	rd_uri_show(&uri, out);
}

static bool same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : !strcmp(a, b);
}

static void check_shown(const struct rd_uri *uri)
{
	struct rd_buf one = RD_BUF_INIT, two = RD_BUF_INIT, why = RD_BUF_INIT;
	struct rd_uri again;
	int err;

	show(*uri, uri->password, &one);
	show(*uri, uri->password != NULL ? "another" : NULL, &two);
	assert(rd_slice_eq(rd_buf_slice(&one), rd_buf_slice(&two)));
	err = rd_uri_parse(rd_buf_slice(&one), &again, &why);
	assert(err == RD_OK);
	assert(again.tls == uri->tls && again.port == uri->port &&
	       again.db == uri->db && same(again.path, uri->path) &&
	       same(again.host, uri->host) && same(again.user, uri->user) &&
	       (again.password == NULL) == (uri->password == NULL));
	rd_uri_fini(&again);
	rd_buf_fini(&one);
	rd_buf_fini(&two);
	rd_buf_fini(&why);
}

static void check_uri(struct rd_slice text)
{
	struct rd_buf why = RD_BUF_INIT;
	struct rd_uri uri, copy;

	if (rd_uri_parse(text, &uri, &why) != RD_OK) {
		assert(why.len > 0 && rd_utf8_valid(rd_buf_slice(&why)));
		rd_buf_fini(&why);
		return;
	}
	assert(why.len == 0);
	assert((uri.path == NULL) != (uri.host == NULL));
	assert(uri.path == NULL
		   ? *uri.host != '\0' && uri.port > 0 && uri.port <= 65535
		   : *uri.path == '/');
	assert(uri.db >= 0 && (uri.user == NULL || uri.password != NULL));
	check_shown(&uri);
	rd_uri_copy(&copy, &uri);
	rd_uri_fini(&uri);
	check_shown(&copy);
	rd_uri_fini(&copy);
	rd_buf_fini(&why);
}

static void check_origin(struct rd_slice origin, struct rd_slice host,
			 struct rd_slice listed)
{
	struct rd_buf upper = RD_BUF_INIT, headers = RD_BUF_INIT;
	char *item = strndup(listed.data, listed.len);
	struct rd_config cfg;
	bool allowed;

	rd_config_init(&cfg);
	if (listed.len > 0)
		cfg.origin = (struct rd_strings){&item, 1, 0};
	allowed = rd_origin_allowed(&cfg, origin, host);
	assert(allowed || origin.len > 0);
	if (allowed && origin.len > 0 && listed.len == 0)
		assert(rd_origin_is_us(&cfg, cfg.host, host));
	for (size_t i = 0; i < origin.len; i++) {
		char c = origin.data[i];

		rd_buf_addc(&upper, c >= 'a' && c <= 'z' ? (char)(c - 32) : c);
	}
	assert(rd_origin_allowed(&cfg, rd_buf_slice(&upper), host) == allowed);
	rd_origin_headers(origin, &headers);
	assert((headers.len > 0) == (origin.len > 0));
	cfg.origin = (struct rd_strings){0};
	rd_config_fini(&cfg);
	free(item);
	rd_buf_fini(&upper);
	rd_buf_fini(&headers);
}

static void check_place(struct rd_slice text)
{
	struct rd_place place;
	char id[RD_ID_TEXT];

	if (rd_place_parse(text, &place) != RD_OK)
		return;
	assert(place.kind != RD_PLACE_LAST ||
	       (place.count >= 1 && place.count <= RD_PLACE_LAST_MAX));
	if (place.kind == RD_PLACE_AFTER) {
		struct rd_place again;
		int err = rd_place_parse(rd_slice_str(rd_id_text(place.id, id)),
					 &again);

		assert(err == RD_OK && again.kind == place.kind &&
		       rd_id_cmp(again.id, place.id) == 0);
	}
}

static void check_spec(struct rd_slice text)
{
	char *line = strndup(text.data, text.len);
	struct rd_slice whole = rd_slice_str(line);
	struct rd_spec spec = rd_spec_read(line);

	assert(spec.kind == RD_SPEC_UNKNOWN || spec.args != NULL);
	if (spec.kind == RD_SPEC_BUILT_IN || spec.kind == RD_SPEC_FILE)
		assert(spec.name.len > 0 && fuzz_is_inside(spec.name, whole));
	if (spec.kind == RD_SPEC_EXEC)
		assert(spec.args[0] != '\0');
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *exact = fuzz_exact(fuzz_input(data, len));
	struct rd_slice in = {exact, len}, origin, host;

	check_uri(fuzz_until(&in, '\n'));
	origin = fuzz_until(&in, '\n');
	host = fuzz_until(&in, '\n');
	check_origin(origin, host, fuzz_until(&in, '\n'));
	check_place(fuzz_until(&in, '\n'));
	check_spec(fuzz_until(&in, '\n'));
	free(exact);
	return 0;
}
