/* SPDX-License-Identifier: MIT */
/*
 * frame_impl.h -- what the two files of frames share:
 *
 *	frame.c		replies, and pushes about the wire itself
 *	frame_message.c	messages: lists, histories, direct ones, answers
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
/* An offset as a value. */
void rd_frame_id(struct rd_writer *w, struct rd_id id);

#endif
