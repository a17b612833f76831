/* SPDX-License-Identifier: MIT */
/*
 * id.c -- offsets: parse, print, compare; see id.h.
 */
#include <redistribute/id.h>

/* Reads digits up to `stop` or the end; the index behind them, 0 for none. */
static size_t parse_u64(struct rd_slice s, size_t at, uint64_t *n_out)
{
	uint64_t n = 0;
	size_t i;

	for (i = at; i < s.len && s.data[i] >= '0' && s.data[i] <= '9'; i++) {
		uint64_t digit = (uint64_t)(s.data[i] - '0');

		if (n > (UINT64_MAX - digit) / 10)
			return 0;
		n = n * 10 + digit;
	}
	*n_out = n;
	return i > at ? i : 0;
}

int rd_id_parse(struct rd_slice text, struct rd_id *id_out)
{
	struct rd_id id = RD_ID_ZERO;
	size_t at = parse_u64(text, 0, &id.ms);

	if (at == 0)
		return RD_EFORMAT;
	if (at < text.len) {
		if (text.data[at] != '-')
			return RD_EFORMAT;
		at = parse_u64(text, at + 1, &id.seq);
	}
	if (at != text.len)
		return RD_EFORMAT;
	*id_out = id;
	return RD_OK;
}

/* In decimal; the end.  Ids are written for each message: no printf. */
static char *put_number(char *at, uint64_t n)
{
	char digits[20], *end = digits + sizeof(digits), *first = end;

	do
		*--first = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	memcpy(at, first, (size_t)(end - first));
	return at + (end - first);
}

const char *rd_id_text(struct rd_id id, char buf[RD_ID_TEXT])
{
	char *at = put_number(buf, id.ms);

	*at++ = '-';
	*put_number(at, id.seq) = '\0';
	return buf;
}

int rd_id_cmp(struct rd_id a, struct rd_id b)
{
	if (a.ms != b.ms)
		return a.ms < b.ms ? -1 : 1;
	if (a.seq != b.seq)
		return a.seq < b.seq ? -1 : 1;
	return 0;
}

struct rd_id rd_id_prev(struct rd_id id)
{
	if (id.seq > 0)
		return (struct rd_id){id.ms, id.seq - 1};
	if (id.ms > 0)
		return (struct rd_id){id.ms - 1, UINT64_MAX};
	return id;
}

struct rd_id rd_id_next(struct rd_id id)
{
	if (id.seq < UINT64_MAX)
		return (struct rd_id){id.ms, id.seq + 1};
	if (id.ms < UINT64_MAX)
		return (struct rd_id){id.ms + 1, 0};
	return id;
}
