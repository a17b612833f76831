/* SPDX-License-Identifier: MIT */
/*
 * message.h -- one message: an entry of a channel's stream, understood.
 *
 * An entry carries its payload in one field that is named for its encoding:
 * json, text, msgpack or bin.  Beside it may stand type, from and key.  An
 * entry with none of the payload fields was written by somebody else: it is
 * RD_ENC_FIELDS, and all of its fields are the payload.
 */
#ifndef REDISTRIBUTE_MESSAGE_H
#define REDISTRIBUTE_MESSAGE_H

#include <redistribute/id.h>
#include <redistribute/slice.h>

enum rd_encoding {
	RD_ENC_JSON,    /* payload is valid JSON text */
	RD_ENC_TEXT,    /* payload is UTF-8 */
	RD_ENC_MSGPACK, /* payload is one valid MessagePack value */
	RD_ENC_BIN,     /* payload is any bytes */
	RD_ENC_FIELDS,  /* payload is empty, fields hold it */
};

#define RD_FROM_MAX 255 /* bytes of a name that a handler gives a client */

struct rd_message {
	struct rd_id id; /* the offset that Redis gave it; 0-0 before */
	enum rd_encoding encoding;
	struct rd_slice payload;
	struct rd_slice type; /* data is NULL where there is none; UTF-8 */
	struct rd_slice from; /* the same: who published it */
	struct rd_slice key;  /* the same: its idempotency key */
	/* Of RD_ENC_FIELDS: names and values in turn, any bytes. */
	const struct rd_slice *fields;
	size_t field_count; /* slices in fields: twice the number of fields */
};

#endif
