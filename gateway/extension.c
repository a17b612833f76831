/* SPDX-License-Identifier: MIT */
/*
 * extension.c -- reads offers of permessage-deflate; see extension.h.
 *
 * Nothing is ever taken over from one message to the next, in neither
 * direction, whatever the client offers: RFC 7692 lets a server say so
 * (sections 7.1.1.1 and 7.1.1.2).  So frames can be shared, and an idle
 * connection costs nothing.
 *
 * A parameter that is unknown, stands twice, or has a value that it may not
 * have, makes its offer one to be declined, and the next one is looked at.
 */
#include "gateway/extension.h"
#include "gateway/http_impl.h"

#define NAME "permessage-deflate"

enum value { NONE, BITS, BITS_OR_NONE };

static const struct parameter {
	const char *name;
	enum value value;
} parameters[] = {
    {"server_no_context_takeover", NONE},
    {"client_no_context_takeover", NONE},
    {"server_max_window_bits", BITS},
    {"client_max_window_bits", BITS_OR_NONE}, /* we take any window */
};

#define PARAMETERS    (sizeof(parameters) / sizeof(*parameters))
#define SERVER_WINDOW 2 /* its place in the table */
#define VALUE_MAX     2 /* bytes of a value that may be right */

/* One "name" or "name=value" of an offer. */
struct word {
	struct rd_slice name;
	char value[VALUE_MAX]; /* its first bytes, without quotes */
	size_t len;            /* bytes of all of it; 0: there is none */
};

/* ---- form: extension *( ";" name [ "=" ( token | quoted-string ) ] ) ---- */

static bool is_token(struct rd_slice s)
{
	return s.len > 0 && rd_http_all(s, RD_HTTP_TOKEN);
}

/* Takes the quotes off; what is left must be a token, too. */
static bool read_quoted(struct rd_slice raw, struct word *word)
{
	if (raw.len < 3 || raw.data[raw.len - 1] != '"')
		return false;
	for (size_t i = 1; i < raw.len - 1; i++) {
		if (raw.data[i] == '\\')
			i++;
		if (i == raw.len - 1 ||
		    !is_token((struct rd_slice){raw.data + i, 1}))
			return false;
		if (word->len < VALUE_MAX)
			word->value[word->len] = raw.data[i];
		word->len++;
	}
	return true;
}

static bool read_word(struct rd_slice raw, struct word *word_out)
{
	*word_out = (struct word){.len = 0};
	if (!rd_http_cut(&raw, '=', &word_out->name)) {
		word_out->name = raw;
		return is_token(raw);
	}
	word_out->name = rd_http_trim(word_out->name);
	raw = rd_http_trim(raw);
	if (!is_token(word_out->name))
		return false;
	if (raw.len > 0 && raw.data[0] == '"')
		return read_quoted(raw, word_out);
	memcpy(word_out->value, raw.data,
	       raw.len < VALUE_MAX ? raw.len : VALUE_MAX);
	word_out->len = raw.len;
	return is_token(raw);
}

/* Takes the next word of an offer, its name or a parameter.  True with an
 * empty name at the end; false where it is malformed. */
static bool take_word(struct rd_slice *rest, struct word *word_out)
{
	if (rest->len == 0) {
		*word_out = (struct word){.len = 0};
		return true;
	}
	/* Behind a semicolon there must be something. */
	if (rest->data[rest->len - 1] == ';')
		return false;
	return read_word(rd_http_item(rest, ';'), word_out);
}

bool rd_extension_valid(const struct rd_http_list *offers)
{
	struct rd_http_list list = *offers;
	struct rd_slice offer;
	struct word word;

	while (rd_http_list_next(&list, &offer)) {
		if (!take_word(&offer, &word) || word.len > 0)
			return false;
		while (word.name.len > 0)
			if (!take_word(&offer, &word))
				return false;
	}
	return true;
}

/* ---- meaning ---- */

/* 8 to 15, without a leading zero; 0 where it is anything else. */
static uint8_t read_bits(const struct word *word)
{
	const char *v = word->value;

	if (word->len == 1 && (v[0] == '8' || v[0] == '9'))
		return (uint8_t)(v[0] - '0');
	if (word->len == 2 && v[0] == '1' && v[1] >= '0' && v[1] <= '5')
		return (uint8_t)(10 + v[1] - '0');
	return 0;
}

/* The parameter's place in the table, or PARAMETERS where it is unknown or
 * has a value that it may not have. */
static size_t judge(const struct word *word)
{
	for (size_t i = 0; i < PARAMETERS; i++) {
		if (!rd_slice_is(word->name, parameters[i].name))
			continue;
		if (word->len == 0)
			return parameters[i].value != BITS ? i : PARAMETERS;
		return parameters[i].value != NONE && read_bits(word) != 0
			   ? i
			   : PARAMETERS;
	}
	return PARAMETERS;
}

/* The largest window of ours that is not larger than the client's. */
static void agree(uint8_t bits, struct rd_extension *agreed_out)
{
	agreed_out->form = bits == 0 || bits == 15 ? RD_FORM_15
			   : bits >= 12            ? RD_FORM_12
						   : RD_FORM_9;
	agreed_out->window_bits = bits >= 12 && bits < 15 ? 12
				  : bits > 9 && bits < 12 ? 9
							  : bits;
}

static bool accept_offer(struct rd_slice offer, struct rd_extension *agreed_out)
{
	bool seen[PARAMETERS] = {false};
	uint8_t bits = 0;
	struct word word;
	size_t at;

	if (!take_word(&offer, &word) || word.len > 0 ||
	    !rd_slice_is(word.name, NAME))
		return false;
	while (take_word(&offer, &word)) {
		if (word.name.len == 0) {
			agree(bits, agreed_out);
			return true;
		}
		at = judge(&word);
		if (at == PARAMETERS || seen[at])
			return false;
		seen[at] = true;
		if (at == SERVER_WINDOW)
			bits = read_bits(&word);
	}
	return false;
}

bool rd_extension_choose(const struct rd_http_list *offers,
			 struct rd_extension *agreed_out)
{
	struct rd_http_list list = *offers;
	struct rd_slice offer;

	while (rd_http_list_next(&list, &offer))
		if (accept_offer(offer, agreed_out))
			return true;
	return false;
}

void rd_extension_answer(const struct rd_extension *agreed, struct rd_buf *out)
{
	rd_buf_adds(out, NAME "; server_no_context_takeover; "
			      "client_no_context_takeover");
	if (agreed->window_bits != 0)
		rd_buf_addf(out, "; server_max_window_bits=%u",
			    agreed->window_bits);
}
