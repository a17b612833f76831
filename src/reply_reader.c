/* SPDX-License-Identifier: MIT */
/*
 * reply_reader.c -- hiredis' parser, building our own trees.
 *
 * hiredis allocates each node and each string of a reply, and frees them one
 * by one: about 9 mallocs for a stream entry.  It lets others build the tree
 * instead.  Ours grows in an arena: memory is handed out from the front of a
 * few chunks that double in size, and thrown away as a whole before the next
 * reply is begun.  The first chunk stays, so small replies cost no malloc at
 * all, and a thousand entries cost a handful.  The length of an array is known
 * when it begins, so its items stand side by side in their parent.
 *
 * hiredis 0.14 and 1.x differ in one type and two more callbacks.
 */
#include "src/reply_reader.h"
#include "src/mem.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#define CHUNK_BYTES 16384
#define CHUNK_LIMIT (4 << 20) /* chunks do not double beyond */
#define READER_KEEP (1 << 20) /* empty input buffers above are freed */
/* Longer arrays are refused: no command of ours is answered by one. */
#define ITEMS_LIMIT (16 << 20)

struct chunk {
	struct chunk *next; /* owned: an older one */
	size_t used;        /* bytes handed out */
	size_t cap;         /* bytes of data */
	alignas(max_align_t) char data[];
};

struct rd_reply_reader {
	redisReader *hiredis; /* owned */
	struct chunk *newest; /* owned: memory is handed out from it */
	bool given;           /* the reply in the arena was given out */
};

static void arena_grow(struct rd_reply_reader *reader, size_t cap)
{
	struct chunk *c = rd_alloc(sizeof(*c) + cap);

	c->next = reader->newest;
	c->used = 0;
	c->cap = cap;
	reader->newest = c;
}

static void arena_reset(struct rd_reply_reader *reader)
{
	while (reader->newest->next != NULL) {
		struct chunk *c = reader->newest;

		reader->newest = c->next;
		free(c);
	}
	reader->newest->used = 0;
}

static void *arena_take(struct rd_reply_reader *reader, size_t n, size_t align)
{
	struct chunk *c = reader->newest;
	size_t at = (c->used + align - 1) & ~(align - 1);

	if (at > c->cap || n > c->cap - at) {
		size_t cap = c->cap < CHUNK_LIMIT ? c->cap * 2 : CHUNK_LIMIT;

		arena_grow(reader, n > cap ? n : cap);
		c = reader->newest;
		at = 0;
	}
	c->used = at + n;
	return c->data + at;
}

static struct rd_reply *take_nodes(struct rd_reply_reader *reader, size_t n)
{
	return arena_take(reader, n * sizeof(struct rd_reply),
			  alignof(struct rd_reply));
}

/* Where the value of a task belongs: into its array, or at the root. */
static struct rd_reply *place(const redisReadTask *task,
			      enum rd_reply_type type)
{
	struct rd_reply *r;

	if (task->parent != NULL) {
		r = task->parent->obj;
		r = &r->items[task->idx];
	} else {
		r = take_nodes(task->privdata, 1);
	}
	*r = (struct rd_reply){.type = type};
	return r;
}

static void *make_string(const redisReadTask *task, char *data, size_t len)
{
	enum rd_reply_type type =
	    task->type == REDIS_REPLY_ERROR    ? RD_REPLY_ERROR
	    : task->type == REDIS_REPLY_STATUS ? RD_REPLY_STATUS
					       : RD_REPLY_STRING;
	struct rd_reply *r = place(task, type);
	char *copy = arena_take(task->privdata, len + 1, 1);

	memcpy(copy, data, len);
	copy[len] = '\0';
	r->str = (struct rd_slice){copy, len};
	return r;
}

#if HIREDIS_MAJOR >= 1
static void *make_array(const redisReadTask *task, size_t count)
#else
static void *make_array(const redisReadTask *task, int count)
#endif
{
	struct rd_reply *r;

	/* hiredis takes NULL for a failure, and stops. */
	if (count > ITEMS_LIMIT)
		return NULL;
	r = place(task, RD_REPLY_ARRAY);
	r->count = (size_t)count;
	r->items = take_nodes(task->privdata, r->count);
	return r;
}

static void *make_integer(const redisReadTask *task, long long value)
{
	struct rd_reply *r = place(task, RD_REPLY_INT);

	r->integer = value;
	return r;
}

static void *make_nil(const redisReadTask *task)
{
	return place(task, RD_REPLY_NIL);
}

#if HIREDIS_MAJOR >= 1
static void *make_double(const redisReadTask *task, double value, char *text,
			 size_t len)
{
	(void)value;
	return make_string(task, text, len);
}

static void *make_bool(const redisReadTask *task, int value)
{
	return make_integer(task, value);
}
#endif

static void free_nothing(void *obj)
{
	(void)obj;
}

static redisReplyObjectFunctions builder = {
    .createString = make_string,
    .createArray = make_array,
    .createInteger = make_integer,
    .createNil = make_nil,
#if HIREDIS_MAJOR >= 1
    .createDouble = make_double,
    .createBool = make_bool,
#endif
    .freeObject = free_nothing,
};

struct rd_reply_reader *rd_reply_reader_new(void)
{
	struct rd_reply_reader *reader = rd_new(struct rd_reply_reader);

	reader->hiredis = redisReaderCreateWithFunctions(&builder);
	if (reader->hiredis == NULL)
		abort(); /* out of memory */
	reader->hiredis->privdata = reader;
	reader->hiredis->maxbuf = READER_KEEP;
	arena_grow(reader, CHUNK_BYTES);
	return reader;
}

void rd_reply_reader_free(struct rd_reply_reader **reader_ptr)
{
	struct rd_reply_reader *reader = *reader_ptr;

	if (reader == NULL)
		return;
	redisReaderFree(reader->hiredis);
	arena_reset(reader);
	free(reader->newest);
	free(reader);
	*reader_ptr = NULL;
}

void rd_reply_reader_feed(struct rd_reply_reader *reader, const void *data,
			  size_t len)
{
	if (reader->hiredis->err != 0 || len == 0)
		return;
	if (redisReaderFeed(reader->hiredis, data, len) != REDIS_OK)
		abort(); /* out of memory: nothing else can fail there */
}

int rd_reply_reader_next(struct rd_reply_reader *reader,
			 const struct rd_reply **reply_out)
{
	void *reply = NULL;

	/* Between two replies, and only there, nothing is under way. */
	if (reader->given) {
		arena_reset(reader);
		reader->given = false;
	}
	if (redisReaderGetReply(reader->hiredis, &reply) != REDIS_OK)
		return RD_EFORMAT;
	if (reply == NULL)
		return RD_EAGAIN;
	reader->given = true;
	*reply_out = reply;
	return RD_OK;
}

const char *rd_reply_reader_why(const struct rd_reply_reader *reader)
{
	return reader->hiredis->errstr;
}
