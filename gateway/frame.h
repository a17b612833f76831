/* SPDX-License-Identifier: MIT */
/*
 * frame.h -- what the gateway says, as whole WebSocket frames or as server-sent
 * events (PROTOCOL.md).
 *
 * A function appends to out a frame with its header, where nothing else is
 * said, ready to be sent to any number of clients of the codec.  Pure.
 */
#ifndef RD_GATEWAY_FRAME_H
#define RD_GATEWAY_FRAME_H

#include <redistribute/message.h>

#include "gateway/protocol.h"

/* What a welcome tells; strings are borrowed. */
struct rd_welcome {
	const char *client;
	const char *gateway;
	const char *epoch; /* NULL where Redis was not reached yet */
	uint64_t time_ms;
	uint64_t ping_ms;
	uint64_t retry_ms; /* so long its clients take to come back */
	uint64_t max_message_bytes;
	uint64_t max_subscriptions;
};
void rd_frame_welcome(struct rd_buf *out, enum rd_codec codec,
		      const struct rd_welcome *welcome);

/* Replies. */
void rd_frame_subscribed(struct rd_buf *out, enum rd_codec codec, uint64_t id,
			 struct rd_slice channel, struct rd_position at,
			 const char *epoch, bool already);
void rd_frame_unsubscribed(struct rd_buf *out, enum rd_codec codec, uint64_t id,
			   struct rd_slice channel);
void rd_frame_published(struct rd_buf *out, enum rd_codec codec, uint64_t id,
			struct rd_id offset);
void rd_frame_pong(struct rd_buf *out, enum rd_codec codec, uint64_t id,
		   uint64_t time_ms);
/* What a handler has answered to a call. */
void rd_frame_called(struct rd_buf *out, enum rd_codec codec, uint64_t id,
		     const struct rd_message *msg);
/* req tells the id, or that there is none; after_ms: when to try again, 0 where
 * that is not known. */
void rd_frame_error(struct rd_buf *out, enum rd_codec codec,
		    const struct rd_request *req, enum rd_fault fault,
		    const char *why, uint64_t after_ms);

/* The same error where it is the body of an answer by HTTP: no frame. */
void rd_frame_fault(struct rd_buf *out, enum rd_fault fault, const char *why,
		    uint64_t after_ms);

/* Pushes. */
void rd_frame_gap(struct rd_buf *out, enum rd_codec codec,
		  struct rd_slice channel, const struct rd_gap *gap,
		  const char *epoch);
/* A handler has sent this message, has subscribed the client, has ended a
 * subscription. */
void rd_frame_direct(struct rd_buf *out, enum rd_codec codec,
		     const struct rd_message *msg);
void rd_frame_subscription(struct rd_buf *out, enum rd_codec codec,
			   struct rd_slice channel, struct rd_position at,
			   const char *epoch);
void rd_frame_subscription_end(struct rd_buf *out, enum rd_codec codec,
			       struct rd_slice channel, const char *reason);
void rd_frame_drain(struct rd_buf *out, enum rd_codec codec, uint64_t after_ms);

/*
 * Messages are gathered into one frame: begin, add each, end.  In
 * RD_CODEC_PLAIN and RD_CODEC_SSE each message is a frame or event of its own.
 *
 * A history is the same list in a reply instead of a push.
 */
struct rd_frame_list {
	struct rd_buf *out; /* borrowed */
	enum rd_codec codec;
	struct rd_buf rows; /* owned: the rows so far, in the codec */
	size_t count;       /* of rows */
};
void rd_frame_list_begin(struct rd_frame_list *list, struct rd_buf *out,
			 enum rd_codec codec);
void rd_frame_list_add(struct rd_frame_list *list,
		       const struct rd_message *msg);
/* Bytes gathered so far. */
size_t rd_frame_list_bytes(const struct rd_frame_list *list);
/* Ends the list as a push (nothing where it is empty), or as a reply. */
void rd_frame_list_push(struct rd_frame_list *list, struct rd_slice channel);
void rd_frame_list_reply(struct rd_frame_list *list, uint64_t id,
			 struct rd_slice channel, bool more);

/* The payload of one message as plain mode has it, framed. */
void rd_frame_plain(struct rd_buf *out, const struct rd_message *msg);

/* Server-sent events: one message, without an id where its offset is 0-0; where
 * the stream begins, and after how long to come back when it ends; a gap. */
void rd_frame_event(struct rd_buf *out, const struct rd_message *msg);
void rd_frame_event_start(struct rd_buf *out, struct rd_id at,
			  uint64_t retry_ms);
void rd_frame_event_gap(struct rd_buf *out, const struct rd_gap *gap);

#endif
