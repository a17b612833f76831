/* SPDX-License-Identifier: MIT */
/*
 * conn_impl.h -- the inside of a connection, for the five files it has:
 *
 *	conn.c		its life, from the request to the last frame
 *	conn_io.c	bytes in and out, plain or over TLS
 *	conn_file.c	a file that is sent as an answer
 *	conn_deflate.c	what is compressed of them
 *	conns.c		all of a process: time limits, flushing, freeing
 */
#ifndef RD_GATEWAY_CONN_IMPL_H
#define RD_GATEWAY_CONN_IMPL_H

#include "gateway/conn.h"
#include "gateway/ws.h"
#include "src/pollset.h"
#include "src/tls.h"

#define RD_CONN_READ_BYTES 65536 /* of the read buffer that all share */

enum state {
	HEAD,    /* its request is being read */
	BODY,    /* the body of it, or the owner works on the answer */
	OPEN,    /* heard of lately */
	PINGED,  /* silent, a ping is out */
	CLOSING, /* a close frame was sent */
	ENDING,  /* no frame comes or goes; last bytes are written */
	DEAD,    /* freed at the end of the turn */
	STATES
};

struct rd_conn {
	struct rd_list link;    /* on the list of its state */
	struct rd_list dirty;   /* on the list of those to be looked at */
	struct rd_conns *conns; /* borrowed */
	const struct rd_conn_ops *ops; /* borrowed; NULL after closed() */
	void *arg;
	struct rd_tls_io *tls; /* owned; NULL for a plain socket */
	struct rd_ws ws;
	struct rd_buf in;     /* HEAD, BODY: that; later: held while paused */
	struct rd_buf out;    /* owned; not yet taken by the kernel */
	struct rd_load *load; /* owned; NULL: it holds next to nothing */
	struct rd_conn_file *file; /* owned; NULL: it is sent none */
	uint32_t awaited; /* HEAD: bytes of in that were looked at; BODY: those
			   * that are still to come */
	uint32_t held;    /* bytes of in and of an unfinished message */
	struct rd_bucket pings; /* its pings and pongs */
	uint32_t sent;          /* bytes that the kernel took, modulo 2^32 */
	uint32_t taken;         /* of them, acknowledged when last looked at */
	struct rd_address *address; /* shared; NULL: not counted */
	uint64_t since_ms;          /* when it came to its place in the list */
	uint32_t number;            /* in the access log */
	int fd;                     /* owned */
	uint8_t state;              /* enum state */
	uint8_t watched;            /* what its socket is watched for */
	uint8_t form;               /* enum rd_form: what was agreed on */
	bool stream : 1;            /* OPEN, PINGED: of events, no WebSocket */
	bool owed : 1;              /* BODY: it is whole, an answer is due */
	bool paused : 1;            /* by its owner: messages wait */
	bool blocked : 1;           /* no bytes can be written at present */
	bool reads_first : 1;       /* blocked: TLS must read before that */
	bool notify : 1;            /* drained() is owed */
	bool peer_closed : 1;       /* the client's close frame came */
	bool write_ended : 1;       /* ENDING: our end of the socket is shut */
	bool feeding : 1;           /* its messages are being handed out */
	bool head_only : 1;         /* HEAD: the answer goes without its body */
	bool corked : 1;            /* by its owner: nothing is written */
	bool told : 1;              /* the access log knows it, not its end */
	bool again : 1;             /* to be read, though it may not be ready */
};

/* A connection that holds bytes of ours. */
struct rd_load {
	struct rd_list link;  /* on the list of its class */
	struct rd_conn *conn; /* borrowed */
	size_t class;
};
#define RD_LOAD_MIN     4096 /* bytes, of the lowest class; each has twice */
#define RD_LOAD_CLASSES 24   /* as much as the one before */

struct rd_conns {
	struct rd_loop *loop; /* borrowed */
	struct rd_conn_limits limits;
	const struct rd_conn_ops *ops; /* borrowed */
	void *arg;
	struct rd_list lists[STATES];
	struct rd_pollset *sockets; /* owned; of all connections */
	struct rd_list dirty;       /* to be looked at when the turn ends */
	struct rd_task flush;
	struct rd_task reap;
	struct rd_timer tick;
	struct rd_conn_counters counters;
	size_t count;
	size_t files;     /* open, to be sent */
	size_t waiting;   /* bytes in all out buffers */
	size_t held;      /* bytes held of all */
	uint32_t numbers; /* given out, for the access log */
	bool full;        /* both reach max_buffers, when last looked at */
	struct rd_list loads[RD_LOAD_CLASSES];
	struct rd_addresses *addresses; /* owned; NULL: not counted */
	struct rd_deflate *deflate;     /* owned; shared by all */
	struct rd_inflate *inflate;     /* owned; the same */
	struct rd_buf squeezed;         /* scratch: frames for one client */
	char buffer[RD_CONN_READ_BYTES];
};

/* Is it on the way through what waits for it, since this was last asked? */
bool rd_conn_takes_bytes(struct rd_conn *c);
/* Has it taken all that was sent? */
bool rd_conn_has_all(const struct rd_conn *c);
/* Finds the class of what it holds. */
void rd_conn_weigh(struct rd_conn *c);
/* Adds up what it holds of its client's bytes. */
void rd_conn_account(struct rd_conn *c);
/* The only way from one state to another. */
void rd_conn_enter(struct rd_conn *c, enum state state);
/* Waits for what its state and buffers call for. */
void rd_conn_interest(struct rd_conn *c);
/* Answers an HTTP request with a status and a sentence. */
void rd_conn_refuse(struct rd_conn *c, int status, const char *why);
/* Closes without hope of an answer. */
void rd_conn_give_up(struct rd_conn *c, uint16_t code, const char *reason);
/* Agrees on compression where client and limits have it so; appends to out what
 * tells the client, or nothing. */
void rd_conn_agree(struct rd_conn *c, const struct rd_http_request *req,
		   struct rd_buf *out);
/* Inflates a message; false where that is not possible: then it is given up. */
bool rd_conn_inflate(struct rd_conn *c, bool text,
		     struct rd_slice *payload_inout);
/* Its socket is ready; item is the connection. */
void rd_conn_event(void *item, short what);

/* It is to be looked at, when the turn ends: something is to be written, read
 * or ended. */
void rd_conn_dirty(struct rd_conn *c);
/* The same, and it is read then. */
void rd_conn_again(struct rd_conn *c);
/* Reads into buf: bytes, 0 at the end, RD_EAGAIN or RD_EIO. */
long rd_conn_read(struct rd_conn *c, void *buf, size_t len);
/* Puts bytes behind what waits to be sent; they leave at the turn's end. */
void rd_conn_append(struct rd_conn *c, struct rd_slice bytes);
/* Forgets n bytes at the front of what waits to be sent. */
void rd_conn_drop(struct rd_conn *c, size_t n);
/* Reads on in the file where all that was read of it is written. */
void rd_conn_refill(struct rd_conn *c);
/* Where all that was read is written: was that all?  If not, it is looked at
 * again. */
bool rd_conn_file_is_sent(struct rd_conn *c);
/* It is late: may it go on, because it takes a file, slowly? */
bool rd_conn_file_goes_on(struct rd_conn *c);
void rd_conn_file_end(struct rd_conn *c);
/* Writes what the kernel takes; may call drained(). */
void rd_conn_flush(struct rd_conn *c);

#endif
