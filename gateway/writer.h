/* SPDX-License-Identifier: MIT */
/*
 * writer.h -- write one document in either codec of the wire.
 *
 * What a gateway says is described once, in calls to this writer, and comes
 * out as JSON text or as MessagePack.  Pure: bytes into a buffer.
 */
#ifndef RD_GATEWAY_WRITER_H
#define RD_GATEWAY_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "src/buf.h"

enum rd_codec {
	RD_CODEC_JSON,
	RD_CODEC_MSGPACK,
	RD_CODEC_PLAIN, /* payloads alone, see plain.h: not for a writer */
	RD_CODEC_SSE,   /* server-sent events: the same */
	RD_CODECS
};

struct rd_writer {
	struct rd_buf *out; /* borrowed */
	enum rd_codec codec;
	bool comma; /* JSON: the next element needs one before it */
};

/* Starts to append one document to out. */
static inline struct rd_writer rd_writer(enum rd_codec codec,
					 struct rd_buf *out)
{
	return (struct rd_writer){out, codec, false};
}

/* A map of n members, an array of n elements: MessagePack wants to know how
 * many follow, JSON wants to know when they end. */
void rd_writer_map(struct rd_writer *w, size_t n);
void rd_writer_map_end(struct rd_writer *w);
void rd_writer_array(struct rd_writer *w, size_t n);
void rd_writer_array_end(struct rd_writer *w);
/* The name of the member whose value comes next; plain ASCII. */
void rd_writer_name(struct rd_writer *w, const char *name);

void rd_writer_str(struct rd_writer *w, struct rd_slice s); /* UTF-8 */
void rd_writer_text(struct rd_writer *w, const char *text); /* UTF-8 */
void rd_writer_uint(struct rd_writer *w, uint64_t n);
void rd_writer_bool(struct rd_writer *w, bool value);
void rd_writer_null(struct rd_writer *w);
/* A value that the caller appends to w->out in w's codec right after this. */
void rd_writer_raw(struct rd_writer *w);

#endif
