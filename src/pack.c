/* SPDX-License-Identifier: MIT */
/*
 * pack.c -- MessagePack in and out; the only user of msgpack-c.
 *
 * Writing is msgpack-c's.  Reading is not: its unpacker allocates 24 bytes for
 * every element that the head of an array announces, before it has seen one,
 * so five bytes from a client would ask for 96 GiB; and it gives up at a depth
 * of 32.  What is needed here is less than it does, and never allocates: heads
 * are read one by one, a stack of counters says how many values each open
 * container still needs, and a value that is announced must be there.
 *
 * Not here: which form a payload takes for whom (message.c).
 */
#include "src/pack.h"
#include "src/json.h"
#include "src/utf8.h"

#include <msgpack/pack.h>

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int write_buf(void *arg, const char *data, size_t len)
{
	rd_buf_add(arg, data, len);
	return 0;
}

static msgpack_packer packer(struct rd_buf *out)
{
	msgpack_packer p;

	msgpack_packer_init(&p, out, write_buf);
	return p;
}

void rd_pack_nil(struct rd_buf *out)
{
	rd_buf_addc(out, (char)0xc0);
}

void rd_pack_bool(struct rd_buf *out, bool value)
{
	rd_buf_addc(out, (char)(value ? 0xc3 : 0xc2));
}

void rd_pack_int(struct rd_buf *out, int64_t value)
{
	msgpack_packer p = packer(out);

	msgpack_pack_int64(&p, value);
}

void rd_pack_uint(struct rd_buf *out, uint64_t value)
{
	msgpack_packer p = packer(out);

	msgpack_pack_uint64(&p, value);
}

void rd_pack_double(struct rd_buf *out, double value)
{
	msgpack_packer p = packer(out);

	msgpack_pack_double(&p, value);
}

void rd_pack_str(struct rd_buf *out, struct rd_slice s)
{
	msgpack_packer p = packer(out);

	msgpack_pack_str(&p, s.len);
	rd_buf_addslice(out, s);
}

void rd_pack_bin(struct rd_buf *out, struct rd_slice s)
{
	msgpack_packer p = packer(out);

	msgpack_pack_bin(&p, s.len);
	rd_buf_addslice(out, s);
}

void rd_pack_map(struct rd_buf *out, size_t members)
{
	msgpack_packer p = packer(out);

	msgpack_pack_map(&p, members);
}

void rd_pack_array(struct rd_buf *out, size_t elements)
{
	msgpack_packer p = packer(out);

	msgpack_pack_array(&p, elements);
}

enum what { NIL, BOOL, UINT, INT, FLOAT, STR, BIN, EXT, ARRAY, MAP };

/* One value without what is nested in it. */
struct head {
	enum what what;
	uint64_t number;      /* BOOL, UINT, INT (as two's complement); ARRAY,
			       * MAP: how many values follow, names included */
	double real;          /* FLOAT */
	struct rd_slice text; /* STR, BIN, EXT */
};

/* Bytes that are not read yet. */
struct in {
	const char *p, *end;
};

static struct in input(struct rd_slice bytes)
{
	/* Nothing may be added to NULL, not even 0. */
	if (bytes.len == 0)
		bytes.data = "";
	return (struct in){bytes.data, bytes.data + bytes.len};
}

/* The next n bytes as a big-endian number; false where they are not there. */
static bool take_number(struct in *in, size_t n, uint64_t *v_out)
{
	uint64_t v = 0;

	if ((size_t)(in->end - in->p) < n)
		return false;
	for (size_t i = 0; i < n; i++)
		v = v << 8 | (unsigned char)*in->p++;
	*v_out = v;
	return true;
}

static bool take_bytes(struct in *in, uint64_t len, struct rd_slice *out)
{
	if ((uint64_t)(in->end - in->p) < len)
		return false;
	*out = (struct rd_slice){in->p, (size_t)len};
	in->p += len;
	return true;
}

static int64_t sign_extend(uint64_t v, size_t bytes)
{
	unsigned shift = (unsigned)(64 - 8 * bytes);

	return (int64_t)(v << shift) >> shift;
}

static double to_real(uint64_t bits, size_t bytes)
{
	uint32_t half = (uint32_t)bits;
	float single;
	double real;

	if (bytes == 4) {
		memcpy(&single, &half, 4);
		return (double)single;
	}
	memcpy(&real, &bits, 8);
	return real;
}

/* What the first byte alone tells, for 0xc0 to 0xdf: what it is, how many
 * bytes of number or length follow, and 1 where a type does (ext). */
static const struct {
	enum what what;
	uint8_t bytes, type;
	uint8_t fixed; /* length of the text where no length follows */
} forms[32] = {
    [0x00] = {NIL, 0, 0, 0},   [0x02] = {BOOL, 0, 0, 0},
    [0x03] = {BOOL, 0, 0, 0},  [0x04] = {BIN, 1, 0, 0},
    [0x05] = {BIN, 2, 0, 0},   [0x06] = {BIN, 4, 0, 0},
    [0x07] = {EXT, 1, 1, 0},   [0x08] = {EXT, 2, 1, 0},
    [0x09] = {EXT, 4, 1, 0},   [0x0a] = {FLOAT, 4, 0, 0},
    [0x0b] = {FLOAT, 8, 0, 0}, [0x0c] = {UINT, 1, 0, 0},
    [0x0d] = {UINT, 2, 0, 0},  [0x0e] = {UINT, 4, 0, 0},
    [0x0f] = {UINT, 8, 0, 0},  [0x10] = {INT, 1, 0, 0},
    [0x11] = {INT, 2, 0, 0},   [0x12] = {INT, 4, 0, 0},
    [0x13] = {INT, 8, 0, 0},   [0x14] = {EXT, 0, 1, 1},
    [0x15] = {EXT, 0, 1, 2},   [0x16] = {EXT, 0, 1, 4},
    [0x17] = {EXT, 0, 1, 8},   [0x18] = {EXT, 0, 1, 16},
    [0x19] = {STR, 1, 0, 0},   [0x1a] = {STR, 2, 0, 0},
    [0x1b] = {STR, 4, 0, 0},   [0x1c] = {ARRAY, 2, 0, 0},
    [0x1d] = {ARRAY, 4, 0, 0}, [0x1e] = {MAP, 2, 0, 0},
    [0x1f] = {MAP, 4, 0, 0},
};

/* A value of 0xc0 to 0xdf, of which form is the lower five bits. */
static bool take_form(struct in *in, unsigned form, struct head *h)
{
	uint64_t v = 0;

	if (form == 1) /* 0xc1 is never used */
		return false;
	if (!take_number(in, forms[form].bytes, &v))
		return false;
	h->what = forms[form].what;
	h->number = v;
	switch (h->what) {
	case BOOL:
		h->number = form & 1;
		return true;
	case INT:
		h->number = (uint64_t)sign_extend(v, forms[form].bytes);
		return true;
	case FLOAT:
		h->real = to_real(v, forms[form].bytes);
		return true;
	case MAP:
		h->number = v * 2;
		return true;
	case STR:
	case BIN:
	case EXT:
		return take_bytes(in, v + forms[form].fixed + forms[form].type,
				  &h->text);
	default:
		return true;
	}
}

/* Reads one head, and the bytes of STR, BIN and EXT; false where the input is
 * cut or malformed. */
static bool take_head(struct in *in, struct head *h)
{
	uint64_t first;

	if (!take_number(in, 1, &first))
		return false;
	*h = (struct head){UINT, first, 0, {NULL, 0}};
	if (first < 0x80)
		return true;
	if (first >= 0xe0) {
		h->what = INT;
		h->number = (uint64_t)sign_extend(first, 1);
		return true;
	}
	if (first >= 0xc0)
		return take_form(in, (unsigned)first & 31, h);
	if (first >= 0xa0) {
		h->what = STR;
		return take_bytes(in, first & 31, &h->text);
	}
	h->what = first >= 0x90 ? ARRAY : MAP;
	h->number = (first & 15) * (first >= 0x90 ? 1 : 2);
	return true;
}

static bool is_container(const struct head *h)
{
	return h->what == ARRAY || h->what == MAP;
}

/* Passes over one value with all that is nested in it, up to this depth. */
static bool skip_value(struct in *in, size_t depth_max)
{
	uint64_t left[RD_PACK_DEPTH_MAX]; /* values still missing, of each
					     container */
	size_t depth = 0;

	for (;;) {
		struct head h;

		if (!take_head(in, &h))
			return false;
		if (is_container(&h)) {
			if (depth == depth_max)
				return false;
			left[depth++] = h.number;
		}
		while (depth > 0 && left[depth - 1] == 0)
			depth--;
		if (depth == 0)
			return true;
		left[depth - 1]--;
	}
}

bool rd_pack_within(struct rd_slice bytes, size_t depth)
{
	struct in in = input(bytes);

	return skip_value(&in, depth) && in.p == in.end;
}

static const enum rd_kind kinds[] = {
    [NIL] = RD_KIND_NULL,  [BOOL] = RD_KIND_BOOL,    [UINT] = RD_KIND_INT,
    [INT] = RD_KIND_INT,   [FLOAT] = RD_KIND_NUMBER, [STR] = RD_KIND_STRING,
    [BIN] = RD_KIND_BYTES, [EXT] = RD_KIND_OTHER,    [ARRAY] = RD_KIND_ARRAY,
    [MAP] = RD_KIND_MAP,
};

/* One name and its value. */
static bool take_member(struct in *in, struct rd_member *m)
{
	struct in whole;
	const char *start;
	struct head h;

	if (!take_head(in, &h) || h.what != STR || !rd_utf8_valid(h.text))
		return false;
	m->name = h.text;
	whole = *in;
	start = in->p;
	if (!take_head(in, &h) || !skip_value(&whole, RD_PACK_DEPTH_MAX))
		return false;
	m->raw = (struct rd_slice){start, (size_t)(whole.p - start)};
	in->p = whole.p;
	m->kind = kinds[h.what];
	m->text = h.text;
	if (h.what == STR && !rd_utf8_valid(h.text))
		return false;
	if (h.what == UINT && h.number > INT64_MAX)
		m->kind = RD_KIND_NUMBER;
	else if (m->kind == RD_KIND_INT || m->kind == RD_KIND_BOOL)
		m->integer = (int64_t)h.number;
	return true;
}

int rd_pack_members(struct rd_slice bytes, struct rd_members *m)
{
	struct in in = input(bytes);
	struct head h;

	m->count = 0;
	rd_buf_clear(&m->decoded);
	if (!take_head(&in, &h) || h.what != MAP)
		return RD_EFORMAT;
	for (uint64_t i = 0; i < h.number; i += 2)
		if (!take_member(&in, rd_members_add(m)))
			return RD_EFORMAT;
	return in.p == in.end ? RD_OK : RD_EFORMAT;
}

/* The shortest of three precisions that reads back as the same number. */
static void add_real(struct rd_buf *out, double real)
{
	char text[40];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, real);
		if (strtod(text, NULL) == real)
			break;
	}
	rd_buf_adds(out, text);
	if (strpbrk(text, ".e") == NULL)
		rd_buf_adds(out, ".0");
}

/* Anything but a container; false where JSON cannot say it. */
static bool add_scalar(struct rd_buf *out, const struct head *h)
{
	switch (h->what) {
	case NIL:
		rd_buf_adds(out, "null");
		return true;
	case BOOL:
		rd_buf_adds(out, h->number ? "true" : "false");
		return true;
	case INT:
		if ((int64_t)h->number < 0) {
			rd_buf_addc(out, '-');
			rd_buf_addu(out, -h->number);
			return true;
		}
		/* fall through */
	case UINT:
		rd_buf_addu(out, h->number);
		return true;
	case FLOAT:
		if (!isfinite(h->real))
			return false;
		add_real(out, h->real);
		return true;
	case STR:
		if (!rd_utf8_valid(h->text))
			return false;
		rd_json_add_string(out, h->text);
		return true;
	default:
		return false;
	}
}

/* A container that is being written. */
struct open {
	uint64_t left; /* values that it still lacks */
	uint64_t size; /* values that it holds in all */
	bool map;      /* names and values in turn */
};

/* What stands between the value before and the next one. */
static char separator(const struct open *o)
{
	uint64_t done = o->size - o->left;

	return done == 0 ? '\0' : o->map && done % 2 == 1 ? ':' : ',';
}

static bool to_json(struct in *in, struct rd_buf *out)
{
	struct open stack[RD_PACK_DEPTH_MAX], *top = NULL;

	do {
		struct head h;

		if (!take_head(in, &h))
			return false;
		if (top != NULL) {
			char c = separator(top);

			if (c != '\0')
				rd_buf_addc(out, c);
			if (top->map && c != ':' && h.what != STR)
				return false;
			top->left--;
		}
		if (is_container(&h)) {
			top = top == NULL ? stack : top + 1;
			assert(top < stack + RD_PACK_DEPTH_MAX);
			*top = (struct open){h.number, h.number, h.what == MAP};
			rd_buf_addc(out, top->map ? '{' : '[');
		} else if (!add_scalar(out, &h)) {
			return false;
		}
		while (top != NULL && top->left == 0) {
			rd_buf_addc(out, top->map ? '}' : ']');
			top = top == stack ? NULL : top - 1;
		}
	} while (top != NULL);
	return true;
}

int rd_pack_to_json(struct rd_slice bytes, struct rd_buf *out)
{
	struct in in = input(bytes);
	size_t was = out->len;

	if (!rd_pack_valid(bytes))
		return RD_EFORMAT;
	if (to_json(&in, out))
		return RD_OK;
	rd_buf_cut(out, was);
	return RD_EINVAL;
}
