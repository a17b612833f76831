/* SPDX-License-Identifier: MIT */
/*
 * conn_impl.h -- the inside of a connection, for the three files it has:
 *
 *	conn.c		its life, from the request to the last frame
 *	conn_io.c	bytes in and out, plain or over TLS
 *	conns.c		all of a process: time limits, flushing, freeing
 */
#ifndef RD_GATEWAY_CONN_IMPL_H
#define RD_GATEWAY_CONN_IMPL_H

#include "gateway/conn.h"
#include "gateway/ws.h"
#include "src/tls.h"

#define RD_CONN_READ_BYTES 65536 /* of the read buffer that all share */

enum state {
	HEAD,    /* its request is being read */
	OPEN,    /* heard of lately */
	PINGED,  /* silent, a ping is out */
	CLOSING, /* a close frame was sent */
	ENDING,  /* no frame comes or goes; last bytes are written */
	DEAD,    /* freed at the end of the turn */
	STATES
};

struct rd_conn {
	struct rd_watch watch;
	struct rd_list link;           /* on the list of its state */
	struct rd_list dirty;          /* on the list of those to be written */
	struct rd_list detach;         /* on the list of those to be told */
	struct rd_conns *conns;        /* borrowed */
	const struct rd_conn_ops *ops; /* borrowed; NULL after closed() */
	void *arg;
	struct rd_tls_io *tls; /* owned; NULL for a plain socket */
	struct rd_ws ws;
	struct rd_buf in;  /* HEAD: the request; later: held while paused */
	struct rd_buf out; /* owned; not yet taken by the kernel */
	size_t head_seen;  /* HEAD: bytes of in that were looked at */
	uint64_t since_ms; /* when it came to its place in the list */
	int fd;            /* owned */
	enum state state;
	bool paused;      /* by its owner: messages wait */
	bool blocked;     /* the kernel takes no bytes at present */
	bool notify;      /* drained() is owed */
	bool peer_closed; /* the client's close frame came */
	bool write_ended; /* ENDING: our end of the socket is shut */
	bool feeding;     /* its messages are being handed out */
	bool head_only;   /* HEAD: the answer goes without its body */
	bool corked;      /* by its owner: nothing is written */
};

struct rd_conns {
	struct rd_loop *loop; /* borrowed */
	struct rd_conn_limits limits;
	const struct rd_conn_ops *ops; /* borrowed */
	void *arg;
	struct rd_list lists[STATES];
	struct rd_list dirty;
	struct rd_list detach;
	struct rd_task flush;
	struct rd_task reap;
	struct rd_timer tick;
	struct rd_conn_counters counters;
	size_t count;
	size_t waiting; /* bytes in all out buffers */
	char buffer[RD_CONN_READ_BYTES];
};

/* The only way from one state to another. */
void rd_conn_enter(struct rd_conn *c, enum state state);
/* Waits for what its state and buffers call for. */
void rd_conn_interest(struct rd_conn *c);
/* Answers an HTTP request with a status and a sentence. */
void rd_conn_refuse(struct rd_conn *c, int status, const char *why);
/* Closes without hope of an answer. */
void rd_conn_give_up(struct rd_conn *c, uint16_t code, const char *reason);
/* Its socket is ready. */
void rd_conn_event(void *arg, short what);

/* It has something to write, or to end: at the end of the turn. */
void rd_conn_dirty(struct rd_conn *c);
/* Reads into buf: bytes, 0 at the end, RD_EAGAIN or RD_EIO. */
long rd_conn_read(struct rd_conn *c, void *buf, size_t len);
/* Puts bytes behind what waits to be sent; they leave at the turn's end. */
void rd_conn_append(struct rd_conn *c, struct rd_slice bytes);
/* Forgets n bytes at the front of what waits to be sent. */
void rd_conn_drop(struct rd_conn *c, size_t n);
/* Writes what the kernel takes; may call drained(). */
void rd_conn_flush(struct rd_conn *c);

#endif
