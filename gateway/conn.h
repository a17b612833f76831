/* SPDX-License-Identifier: MIT */
/*
 * conn.h -- one client's socket: an HTTP request, then WebSocket messages, or
 * a stream of events, or the request's body and one answer.
 *
 * A connection turns bytes into messages and frames into bytes, answers pings
 * and closes, keeps time limits, and bounds what waits to be sent.  It knows
 * neither channels nor sessions.
 *
 * Callbacks come from the loop, never inside a call of the owner.
 */
#ifndef RD_GATEWAY_CONN_H
#define RD_GATEWAY_CONN_H

#include "gateway/deflate.h"
#include "gateway/http.h"
#include "gateway/limits.h"
#include "src/loop.h"

struct rd_tls;
struct rd_conn;
struct rd_conns;

struct rd_conn_ops {
	/* A whole request head: answer by rd_conn_answer(), or go on by
	 * rd_conn_upgrade(), rd_conn_stream() or rd_conn_await(), before
	 * returning.  req is borrowed. */
	void (*request)(void *arg, struct rd_conn *c,
			const struct rd_http_request *req);
	/* A whole message, or the body that was awaited; payload is borrowed.
	 */
	void (*message)(void *arg, bool binary, struct rd_slice payload);
	/* The client has closed; call rd_conn_close() with this code, now or
	 * when what it is still owed has been sent. */
	void (*leaving)(void *arg, uint16_t code);
	/* What was full (rd_conn_full) has room again. */
	void (*drained)(void *arg);
	/* The last call: nothing comes or goes any more. */
	void (*closed)(void *arg);
};

/* Limits and counters of all connections of a process. */
struct rd_conn_limits {
	size_t max_header;   /* bytes of a request head */
	size_t max_message;  /* bytes of a message from a client, inflated */
	bool access_log;     /* see access.h */
	bool compress;       /* agree on permessage-deflate, RFC 7692 */
	int compress_level;  /* 1 to 9, see deflate.h */
	size_t compress_min; /* bytes of a payload worth it */
	size_t
	    output_limit;   /* bytes waiting for one client that make it full */
	size_t max_buffers; /* bytes that all connections may hold */
	size_t max_per_address; /* connections; 0: any number */
	uint32_t max_fragments; /* frames of a message */
	struct rd_pace pings;   /* of a client, pongs too */
	uint64_t handshake_timeout_ms;
	uint64_t ping_interval_ms;
	uint64_t pong_timeout_ms;
};
#define RD_CONN_COUNTERS(X)                                                    \
	X(accepted, "connections accepted")                                    \
	X(opened, "WebSocket handshakes done")                                 \
	X(streams, "event streams begun")                                      \
	X(bodies, "requests with a body")                                      \
	X(closed, "connections ended")                                         \
	X(handshake_timeouts, "clients too slow to open")                      \
	X(bad_requests, "HTTP requests that were malformed")                   \
	X(large_requests, "request heads above max-header")                    \
	X(bad_frames, "clients that broke the protocol")                       \
	X(too_large, "messages above max-message or max-fragments")            \
	X(ping_floods, "clients above ping-rate")                              \
	X(address_refusals, "connections above twice max-per-address")         \
	X(buffers_full, "times that max-buffers was reached")                  \
	X(buffers_cut, "connections that held most, and were ended for that")  \
	X(pings, "pings sent")                                                 \
	X(pong_timeouts, "clients that answered no ping, or took nothing")     \
	X(messages_in, "messages received")                                    \
	X(compressing, "WebSockets that agreed on compression")                \
	X(inflated, "messages received compressed")                            \
	X(bombs, "compressed messages that would grow beyond max-message")     \
	X(bytes_in, "bytes received")                                          \
	X(bytes_out, "bytes sent")                                             \
	X(sends, "system calls that sent them")                                \
	X(full, "times that a client reached output-limit")                    \
	X(files_cut, "files that a client stopped taking, or that became "     \
		     "short")
struct rd_conn_counters {
#define X(name, help) uint64_t name;
	RD_CONN_COUNTERS(X)
#undef X
};

/* ops and arg serve connections that have not been upgraded yet. */
struct rd_conns *rd_conns_new(struct rd_loop *loop,
			      const struct rd_conn_limits *limits,
			      const struct rd_conn_ops *ops, void *arg);
/* Ends what is left; closed() is called for each, and nothing else. */
void rd_conns_free(struct rd_conns **conns);
size_t rd_conns_count(const struct rd_conns *conns);
const struct rd_conn_counters *rd_conns_counters(const struct rd_conns *conns);
/* Frames compressed, each counted once however many it went to. */
const struct rd_deflate_sums *rd_conns_deflated(const struct rd_conns *conns);
/* Bytes that wait for clients, of all together. */
size_t rd_conns_waiting(const struct rd_conns *conns);
/* Bytes that clients have sent and that make no message yet, or may not. */
size_t rd_conns_held(const struct rd_conns *conns);
/* Do both reach max_buffers?  Then nobody new should be let in. */
bool rd_conns_are_full(const struct rd_conns *conns);

/* Takes over a connected, non-blocking socket; tls is NULL for a plain one;
 * peer is borrowed for the call. */
void rd_conn_open(struct rd_conns *conns, int fd, struct rd_tls *tls,
		  const struct sockaddr *peer);
/* Has its address more connections than it may? */
bool rd_conn_is_crowded(const struct rd_conn *c);

/* Answers the request, whose body may have been awaited, and ends; no callback
 * follows.  type is NULL for no body; extra: further header lines, or NULL. */
void rd_conn_answer(struct rd_conn *c, int status, const char *type,
		    struct rd_slice body, const char *extra);
/*
 * The same, with a file for a body: size bytes of fd, which is taken.  It is
 * read as the client takes it, so that one that is slow costs no more than
 * another; a file that ends early ends the connection.
 */
void rd_conn_answer_file(struct rd_conn *c, const char *type, int fd,
			 uint64_t size, const char *extra);
/* Files that are open for that now. */
size_t rd_conns_files(const struct rd_conns *conns);
/* Makes it a WebSocket, whose events go to ops and arg from now on. */
void rd_conn_upgrade(struct rd_conn *c, const struct rd_http_request *req,
		     const char *protocol, const struct rd_conn_ops *ops,
		     void *arg);

/*
 * Answers 200 and becomes a stream of server-sent events: what is sent are
 * events instead of frames, the client says nothing more, and a close is the
 * end of the stream.  extra: further header lines.
 */
void rd_conn_stream(struct rd_conn *c, const char *extra,
		    const struct rd_conn_ops *ops, void *arg);
/* Reads the body of so many bytes that follows: message() is called once, and
 * rd_conn_answer() is owed from then on.  closed() is called where it ends
 * before that. */
void rd_conn_await(struct rd_conn *c, const struct rd_http_request *req,
		   const struct rd_conn_ops *ops, void *arg);

/* Sends whole frames, compressed where that was agreed on and pays; dropped
 * where the connection is closing.  They leave together at the end of the
 * turn. */
void rd_conn_send(struct rd_conn *c, struct rd_slice frames);
/* The same for frames that go to others, too. */
void rd_conn_share(struct rd_conn *c, struct rd_shared *frames);
/* Are output_limit bytes waiting, or more than its share where max_buffers is
 * reached?  If so, drained() will be called. */
bool rd_conn_full(struct rd_conn *c);
/* Stops and starts the stream of messages; nothing is lost. */
void rd_conn_pause(struct rd_conn *c);
void rd_conn_resume(struct rd_conn *c);
/* Keeps back all that is to be sent, the answer to the handshake first, until
 * it is uncorked or closed. */
void rd_conn_cork(struct rd_conn *c);
void rd_conn_uncork(struct rd_conn *c);
/* While corked: answers the handshake by a status and a sentence after all,
 * instead of all that was kept back; closed() follows, after the turn. */
void rd_conn_deny(struct rd_conn *c, int status, const char *why);
/* Appends the client's address, without its port. */
void rd_conn_address(const struct rd_conn *c, struct rd_buf *out);
/* What its address counts by; see rd_address_key(). */
bool rd_conn_address_key(const struct rd_conn *c,
			 unsigned char key_out[RD_ADDRESS_KEY]);
/* Sends a close frame, and ends when the client has answered it; a stream of
 * events just ends.  closed() follows, after the turn. */
void rd_conn_close(struct rd_conn *c, uint16_t code, const char *reason);

#endif
