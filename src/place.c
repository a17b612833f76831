/* SPDX-License-Identifier: MIT */
/*
 * place.c -- where to start reading; see place.h.
 */
#include "src/place.h"

/* All of the text as one number; rd_id_parse() reads those without a dash. */
static int parse_number(struct rd_slice text, uint64_t *n_out)
{
	struct rd_id id;

	if (memchr(text.data, '-', text.len) != NULL ||
	    rd_id_parse(text, &id) != RD_OK)
		return RD_EINVAL;
	*n_out = id.ms;
	return RD_OK;
}

int rd_place_parse(struct rd_slice text, struct rd_place *place_out)
{
	struct rd_place place = {.kind = RD_PLACE_AFTER};
	struct rd_slice rest;

	if (text.len == 0)
		return RD_EINVAL;
	rest = (struct rd_slice){text.data + 1, text.len - 1};
	if (rd_slice_is(text, "$")) {
		place.kind = RD_PLACE_NEW;
	} else if (text.data[0] == '-') {
		place.kind = RD_PLACE_LAST;
		if (rest.len == 0 ||
		    parse_number(rest, &place.count) != RD_OK ||
		    place.count < 1 || place.count > RD_PLACE_LAST_MAX)
			return RD_EINVAL;
	} else if (text.data[0] == '@') {
		place.kind = RD_PLACE_SINCE;
		if (rest.len == 0 || parse_number(rest, &place.id.ms) != RD_OK)
			return RD_EINVAL;
	} else {
		place.count = RD_COUNT_UNKNOWN;
		if (rd_id_parse(text, &place.id) != RD_OK)
			return RD_EINVAL;
	}
	*place_out = place;
	return RD_OK;
}
