/* SPDX-License-Identifier: MIT */
/*
 * test_extension.c -- gateway/extension.c: offers of a client, our answer.
 *
 * An offer goes through the parser of HTTP heads, as it does in a gateway; the
 * lines of one case are parted by "|".  Heads live in memory of exactly their
 * size.
 */
#include "gateway/extension.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define PMD  "permessage-deflate"
#define SMWB "server_max_window_bits"
#define CMWB "client_max_window_bits"
#define SNCT "server_no_context_takeover"
#define CNCT "client_no_context_takeover"
#define YES  PMD "; " SNCT "; " CNCT
#define NO   ""  /* none is taken */
#define BAD  "!" /* the header is malformed */

static const struct {
	const char *lines; /* of the header; NULL: there is none */
	const char *want;
} cases[] = {
    {NULL, NO},
    {"", NO},
    {PMD, YES},
    {" " PMD "\t", YES},
    {", ," PMD ",", YES},
    /* what others offer: Chromium and Firefox, Safari, python3-websockets */
    {PMD "; " CMWB, YES},
    {"x-webkit-deflate-frame", NO},
    {PMD "; " SMWB "=12; " CMWB "=12", YES "; " SMWB "=12"},
    /* parameters without a value */
    {PMD ";" SNCT, YES},
    {PMD ";" CNCT, YES},
    {PMD ";" CMWB ";" SNCT ";" CNCT, YES},
    {PMD ";" SNCT "=1", NO},
    {PMD ";" CNCT "=true", NO},
    /* the window of what we send */
    {PMD ";" SMWB, NO},
    {PMD ";" SMWB "=8", YES "; " SMWB "=8"},
    {PMD ";" SMWB "=9", YES "; " SMWB "=9"},
    {PMD ";" SMWB "=10", YES "; " SMWB "=9"},
    {PMD ";" SMWB "=11", YES "; " SMWB "=9"},
    {PMD ";" SMWB "=12", YES "; " SMWB "=12"},
    {PMD ";" SMWB "=13", YES "; " SMWB "=12"},
    {PMD ";" SMWB "=14", YES "; " SMWB "=12"},
    {PMD ";" SMWB "=15", YES "; " SMWB "=15"},
    {PMD ";" SMWB "=\"10\"", YES "; " SMWB "=9"},
    {PMD ";" SMWB "=\"\\15\"", YES "; " SMWB "=15"},
    {PMD " ; " SMWB " = 12 ", YES "; " SMWB "=12"},
    {PMD ";" SMWB "=7", NO},
    {PMD ";" SMWB "=16", NO},
    {PMD ";" SMWB "=0", NO},
    {PMD ";" SMWB "=08", NO},
    {PMD ";" SMWB "=015", NO},
    {PMD ";" SMWB "=150", NO},
    {PMD ";" SMWB "=-9", NO},
    {PMD ";" SMWB "=1a", NO},
    /* the window of what the client sends */
    {PMD ";" CMWB "=8", YES},
    {PMD ";" CMWB "=15", YES},
    {PMD ";" CMWB "=\"9\"", YES},
    {PMD ";" CMWB "=7", NO},
    {PMD ";" CMWB "=16", NO},
    {PMD ";" CMWB "=on", NO},
    /* unknown and twice */
    {PMD ";mux", NO},
    {PMD ";" SNCT ";" SNCT, NO},
    {PMD ";" CMWB ";" CMWB "=9", NO},
    {PMD ";" SMWB "=9;" SMWB "=9", NO},
    {PMD ";server_max_window_bit=9", NO},
    {PMD ";Server_no_context_takeover", NO},
    /* several: the first that is understood */
    {"mux, " PMD, YES},
    {PMD ";" SMWB "=9, " PMD, YES "; " SMWB "=9"},
    {PMD ";" SMWB "=7, " PMD ";" SMWB "=15", YES "; " SMWB "=15"},
    {PMD ";x, " PMD ";" SNCT "=1," PMD, YES},
    {"x-strange; a=\"1,2;3\"", BAD}, /* no token within the quotes */
    {"x-strange; a=\"1\", " PMD, YES},
    {"mux|" PMD, YES},
    {PMD ";" SMWB "=1|" PMD ";" SMWB "=9", YES "; " SMWB "=9"},
    {PMD "-frame", NO},
    {PMD "x", NO},
    /* malformed */
    {";", BAD},
    {PMD ";", BAD},
    {PMD ";;" SNCT, BAD},
    {PMD ";" SMWB "=", BAD},
    {PMD "=1", BAD},
    {PMD " " SNCT, BAD},
    {PMD ";" SMWB "=\"\"", BAD},
    {PMD ";" SMWB "=\"9", BAD},
    {PMD ";" SMWB "=\"9\"x", BAD},
    {PMD ";" SMWB "=\"9\\\"", BAD},
    {PMD ";" SMWB "=\"1 0\"", BAD},
    {PMD ";" SMWB "=9 9", BAD},
    {PMD ";a=b=c", BAD},
    {"(x)", BAD},
    {PMD ", @", BAD},
    {"a|b;", BAD},
};

static void add_lines(struct rd_buf *head, const char *lines)
{
	static const char name[] = "Sec-WebSocket-Extensions: ";

	if (lines == NULL)
		return;
	rd_buf_adds(head, name);
	for (; *lines != '\0'; lines++) {
		if (*lines == '|') {
			rd_buf_adds(head, "\r\nX-Between: lines\r\n");
			rd_buf_adds(head, name);
		} else {
			rd_buf_addc(head, *lines);
		}
	}
	rd_buf_adds(head, "\r\n");
}

START_TEST(offers_are_taken_or_declined)
{
	struct rd_buf head = RD_BUF_INIT, answer = RD_BUF_INIT;
	struct rd_extension agreed = {.form = RD_FORM_PLAIN};
	const char *want = cases[_i].want;
	struct rd_http_request req;
	size_t used = 0, len;
	bool taken;
	char *exact;

	rd_buf_adds(&head, "GET / HTTP/1.1\r\nHost: a\r\n");
	add_lines(&head, cases[_i].lines);
	rd_buf_adds(&head, "\r\n");
	len = head.len;
	exact = memcpy(malloc(len), rd_buf_data(&head), len);
	ck_assert_int_eq(
	    rd_http_parse((struct rd_slice){exact, len}, 8192, &req, &used),
	    RD_OK);
	ck_assert_msg(rd_extension_valid(&req.extensions) ==
			  (strcmp(want, BAD) != 0),
		      "%s: valid or not?", cases[_i].lines);
	taken = rd_extension_choose(&req.extensions, &agreed);
	if (taken)
		rd_extension_answer(&agreed, &answer);
	if (strcmp(want, BAD) != 0)
		ck_assert_str_eq(rd_buf_text(&answer), want);
	ck_assert_int_eq(taken, agreed.form != RD_FORM_PLAIN);
	free(exact);
	rd_buf_fini(&head);
	rd_buf_fini(&answer);
}
END_TEST

/* What is sent never needs a larger window than was asked for. */
START_TEST(window_is_never_larger_than_asked_for)
{
	static const int bits_of[RD_FORMS] = {0, 9, 12, 15};
	struct rd_extension agreed;
	char text[64];

	for (int bits = 8; bits <= 15; bits++) {
		struct rd_http_list list = {.rest = {text, 0}};

		list.rest.len = (size_t)snprintf(text, sizeof(text),
						 PMD "; " SMWB "=%d", bits);
		ck_assert(rd_extension_choose(&list, &agreed));
		ck_assert_int_le(agreed.window_bits, bits);
		/* See deflate.h for a window of 8. */
		ck_assert_int_le(bits_of[agreed.form],
				 bits == 8 ? 9 : agreed.window_bits);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("extension");

	tcase_add_loop_test(tc, offers_are_taken_or_declined, 0, COUNT(cases));
	tcase_add_test(tc, window_is_never_larger_than_asked_for);
	return unit_run_case("extension", tc);
}
