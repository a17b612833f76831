/* SPDX-License-Identifier: MIT */
/*
 * frame_impl.h -- what the files of frames share:
 *
 *	frame.c		replies, and pushes about the wire itself
 *	frame_message.c	messages: lists, histories, direct ones, answers
 *	frame_sse.c	all that a stream of server-sent events is told
 */
#ifndef RD_GATEWAY_FRAME_IMPL_H
#define RD_GATEWAY_FRAME_IMPL_H

#include "gateway/frame.h"

/* The opcode of a codec's frames. */
int rd_frame_opcode(enum rd_codec codec);

/* {"id":N,"ok":{ ... n members, and its end, which ends the frame too. */
struct rd_writer rd_frame_ok(struct rd_buf *out, enum rd_codec codec,
			     uint64_t id, size_t n);
void rd_frame_end_ok(struct rd_writer *w, size_t start);

/* One member each. */
void rd_frame_text(struct rd_writer *w, const char *name, const char *text);
void rd_frame_channel(struct rd_writer *w, struct rd_slice channel);
/* Three members: from, first, lost. */
void rd_frame_gap_members(struct rd_writer *w, const struct rd_gap *gap);
/* An offset as a value. */
void rd_frame_id(struct rd_writer *w, struct rd_id id);

#endif
