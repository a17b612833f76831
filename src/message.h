/* SPDX-License-Identifier: MIT */
/*
 * message.h -- between the fields of a stream entry and struct rd_message,
 * and from there to the forms in which a payload is shown to others.
 *
 * Nothing that stands in Redis may stop a reader: what is not what its field
 * name says is taken one step more loosely (json as text, text and msgpack as
 * bin), never refused.
 */
#ifndef RD_SRC_MESSAGE_H
#define RD_SRC_MESSAGE_H

#include <redistribute/message.h>

#include "src/buf.h"

/* The field name of an encoding, "json"; NULL for RD_ENC_FIELDS. */
const char *rd_encoding_field(enum rd_encoding encoding);
/* The encoding that bytes deserve: JSON where it is, else text, else bin. */
enum rd_encoding rd_encoding_guess(struct rd_slice bytes);

/* Are no more than so many (up to 512) maps, arrays and objects of a payload
 * within each other?  It must be what its encoding says. */
bool rd_payload_within(enum rd_encoding encoding, struct rd_slice payload,
		       size_t depth);

/*
 * Understands one entry: count slices, names and values in turn.  Everything
 * in msg_out is borrowed from fields, the array itself included.
 */
void rd_message_read(struct rd_id id, const struct rd_slice *fields,
		     size_t count, struct rd_message *msg_out);

/* How JSON carries this payload. */
enum rd_json_form {
	RD_JSON_DATA,     /* as a JSON value */
	RD_JSON_DATA64,   /* bytes, as a base64 string */
	RD_JSON_MSGPACK64 /* MessagePack that JSON cannot say, likewise */
};
/* The member name that goes with a form: "data", "data64", "msgpack64". */
const char *rd_json_form_name(enum rd_json_form form);
/* Appends the value (for DATA64 and MSGPACK64 a base64 literal, quoted) and
 * says which form it took. */
enum rd_json_form rd_message_add_json(const struct rd_message *msg,
				      struct rd_buf *out);
/* Appends the payload as one MessagePack value. */
void rd_message_add_pack(const struct rd_message *msg, struct rd_buf *out);

#endif
