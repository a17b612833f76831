/* SPDX-License-Identifier: MIT */
/*
 * ws.h -- the server's side of the WebSocket framing, RFC 6455 section 5.
 *
 * Feed it what a client sent after the handshake, in pieces of any size; it
 * answers with whole messages and control frames.  It sends nothing: that a
 * ping is answered, and a close echoed, is its owner's work.
 *
 *	do {
 *		event = rd_ws_feed(&ws, data, len, &used, &got);
 *		data += used;
 *		len -= used;
 *		... act on event ...
 *	} while (event != RD_WS_MORE);
 */
#ifndef RD_GATEWAY_WS_H
#define RD_GATEWAY_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/buf.h"
#include "src/utf8.h"

/* Opcodes, section 5.2; RD_WS_RSV1 is or-ed to one by RFC 7692. */
#define RD_WS_OP_CONTINUATION 0
#define RD_WS_OP_TEXT         1
#define RD_WS_OP_BINARY       2
#define RD_WS_OP_CLOSE        8
#define RD_WS_OP_PING         9
#define RD_WS_OP_PONG         10
#define RD_WS_RSV1            0x40

#define RD_WS_HEADER_MAX  10  /* bytes of a server's frame header */
#define RD_WS_CONTROL_MAX 125 /* payload bytes of a control frame */
#define RD_WS_CLOSE_MAX   127 /* bytes of a whole close frame */
#define RD_WS_REASON_MAX  123 /* bytes of a close frame's reason */

enum rd_ws_event {
	RD_WS_MORE,   /* all bytes are used, nothing is complete */
	RD_WS_TEXT,   /* a text message, UTF-8 unless it is compressed */
	RD_WS_BINARY, /* a binary message */
	RD_WS_PING,   /* to be answered by a pong with the same payload */
	RD_WS_PONG,
	RD_WS_CLOSE, /* the last frame; to be echoed unless one was sent */
	RD_WS_BAD,   /* the client broke the protocol: close with got.code */
};

struct rd_ws_got {
	/* Of the message, ping or pong; of a close, its reason.  Borrowed until
	 * the next call; inside the caller's bytes where the frame was whole.
	 */
	struct rd_slice payload;
	const char *why; /* RD_WS_BAD: a sentence, static; else NULL */
	uint16_t code;   /* CLOSE: what came, 1005 for none; BAD: the answer */
	bool compressed; /* message: still to be inflated, RFC 7692 */
};

/* One connection's incoming side: 72 bytes, and nothing on the heap unless a
 * message or a control frame is incomplete. */
struct rd_ws {
	size_t max_message;     /* bytes; what is larger is refused */
	struct rd_buf *message; /* owned: an unfinished message, or NULL */
	struct rd_buf *control; /* owned: likewise, of a control frame */
	uint32_t max_fragments; /* frames of one message; 0: any number */
	uint32_t fragments;     /* of the unfinished message, so far */
	uint64_t left;          /* payload bytes of this frame still to come */
	unsigned char head[14]; /* header of this frame, as far as it came */
	uint8_t head_len;       /* bytes of head, while it comes */
	uint8_t key[4];         /* the mask, turned to the next byte */
	uint8_t state;          /* private to ws.c */
	uint8_t message_op;     /* text or binary; 0: no message has begun */
	bool deflate;           /* RSV1 is agreed on */
	bool compressed;        /* the message began with RSV1 */
	struct rd_utf8 utf8;    /* of the text message so far */
};

/* max_message: bytes of one message, over all its fragments, as sent; one that
 * is compressed may be a little larger, for its owner to inflate. */
void rd_ws_init(struct rd_ws *ws, size_t max_message);
/* How many frames a message may come in; any number where not called. */
void rd_ws_max_fragments(struct rd_ws *ws, uint32_t max);
/* From now on messages may be compressed: permessage-deflate was agreed on. */
void rd_ws_deflate(struct rd_ws *ws);
/* Frees what is held; the payload of the last event is gone. */
void rd_ws_fini(struct rd_ws *ws);

/*
 * Takes bytes, changing them in place (unmasking), up to and including the
 * end of one event; says in used_out how many it took and in got_out what
 * came.  Call again with the rest until RD_WS_MORE, also when the rest is
 * empty: that call frees what the last event borrowed.
 *
 * What cannot become legal is refused as early as it is known: a header at
 * its last byte, a message by its announced length, text at its first byte
 * that no character can have.  Memory grows with the bytes that came, not
 * with those announced.  Behind RD_WS_CLOSE and RD_WS_BAD every byte is
 * swallowed.
 *
 * Codes of RD_WS_BAD: 1002 protocol, 1007 not UTF-8, 1009 too large
 * (section 7.4.1).
 */
enum rd_ws_event rd_ws_feed(struct rd_ws *ws, char *data, size_t len,
			    size_t *used_out, struct rd_ws_got *got_out);

/* ---- ws_out.c ---- */

/* May this code stand in a close frame? */
bool rd_ws_is_close_code(unsigned code);
/* Writes the header of a whole, unmasked frame with len bytes of payload;
 * returns its size: 2, 4 or 10. */
size_t rd_ws_header(char out[RD_WS_HEADER_MAX], int opcode, size_t len);
/*
 * Writes a whole close frame; returns its size.  The reason, UTF-8, may be
 * NULL and is cut where it is too long, between two characters.  Without a
 * code (0 or 1005) the frame is empty.
 */
size_t rd_ws_close(char out[RD_WS_CLOSE_MAX], uint16_t code,
		   const char *reason);
/* Begins a frame behind what stands in out; what is appended is its payload,
 * until rd_ws_end() is given what rd_ws_begin() has returned. */
size_t rd_ws_begin(struct rd_buf *out);
void rd_ws_end(struct rd_buf *out, size_t start, int opcode);

/* One of a server's own frames, borrowed from where it stands. */
struct rd_ws_sent {
	struct rd_slice whole; /* with its header */
	struct rd_slice payload;
	int opcode; /* with RD_WS_RSV1 */
};
/* Takes the first of whole frames off their front; false where none is left. */
bool rd_ws_take_sent(struct rd_slice *frames, struct rd_ws_sent *frame_out);

#endif
