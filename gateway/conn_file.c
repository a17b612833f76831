/* SPDX-License-Identifier: MIT */
/*
 * conn_file.c -- a file as the answer to a request; see conn.h.
 *
 * A file is never held as a whole: a piece is read when the kernel has taken
 * the one before, and each turn of the loop sends one piece to each client, so
 * that nobody waits for somebody else's film.  A file that fits into one piece
 * is closed at once; only larger ones cost a descriptor.
 *
 * Who takes a file may take longer than the last bytes of other answers, as
 * long as he takes something.
 */
#include "gateway/access.h"
#include "gateway/conn_impl.h"
#include "src/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE      65536
#define STALLS_MAX 5 /* of ENDING_MS each, in which it takes nothing */

struct rd_conn_file {
	int fd;          /* owned; -1: all of it was read */
	unsigned stalls; /* how often in turn nothing was taken */
	uint64_t left;   /* bytes that are not read yet */
};

static void file_close(struct rd_conn *c)
{
	if (c->file->fd < 0)
		return;
	close(c->file->fd);
	c->file->fd = -1;
	c->conns->files--;
}

void rd_conn_file_end(struct rd_conn *c)
{
	if (c->file == NULL)
		return;
	if (c->file->left > 0 || c->out.len > 0)
		c->conns->counters.files_cut++;
	file_close(c);
	free(c->file);
	c->file = NULL;
}

void rd_conn_refill(struct rd_conn *c)
{
	struct rd_conn_file *f = c->file;
	size_t want;
	ssize_t n;

	if (f == NULL || f->fd < 0 || c->out.len >= PIECE / 2)
		return;
	want = f->left < PIECE ? (size_t)f->left : PIECE;
	do
		n = read(f->fd, rd_buf_room(&c->out, want), want);
	while (n < 0 && errno == EINTR);
	if (n <= 0) { /* it has become shorter; the client sees the end */
		rd_conn_enter(c, DEAD);
		return;
	}
	rd_buf_grew(&c->out, (size_t)n);
	c->conns->waiting += (size_t)n;
	f->left -= (uint64_t)n;
	if (f->left == 0)
		file_close(c);
}

bool rd_conn_file_is_sent(struct rd_conn *c)
{
	if (c->file != NULL && c->file->fd >= 0) {
		rd_conn_dirty(c); /* the next piece, when others had theirs */
		return false;
	}
	rd_conn_file_end(c);
	return true;
}

bool rd_conn_file_goes_on(struct rd_conn *c)
{
	struct rd_conn_file *f = c->file;

	if (f == NULL)
		return false;
	f->stalls = rd_conn_takes_bytes(c) || !c->blocked ? 0 : f->stalls + 1;
	return f->stalls < STALLS_MAX;
}

size_t rd_conns_files(const struct rd_conns *conns)
{
	return conns->files;
}

void rd_conn_answer_file(struct rd_conn *c, const char *type, int fd,
			 uint64_t size, const char *extra)
{
	struct rd_buf head = RD_BUF_INIT;

	assert(c->state == HEAD);
	rd_access_answered(c, 200, (struct rd_slice){"", 0});
	rd_http_answer_head(&head, 200, type, size, extra);
	rd_conn_append(c, rd_buf_slice(&head));
	rd_buf_fini(&head);
	c->ops = NULL; /* nobody owns it any more */
	c->file = rd_new(struct rd_conn_file);
	c->file->fd = fd;
	c->file->left = c->head_only ? 0 : size;
	c->conns->files++;
	if (c->file->left == 0)
		file_close(c);
	if (c->state == DEAD)
		return;
	rd_conn_enter(c, ENDING);
	rd_conn_refill(c);
}
