/* SPDX-License-Identifier: MIT */
/*
 * pending.c -- the commands of a link that wait for their replies, in order.
 *
 * Replies carry no name: the n-th reply answers the n-th command.  So a ring
 * of callbacks is all that pipelining needs, but for one command family:
 * SUBSCRIBE a b c is answered three times.
 */
#include "src/pending.h"
#include "src/mem.h"

#include <stdlib.h>
#include <strings.h>

void rd_pending_fini(struct rd_pending *p)
{
	struct rd_command c;

	while (rd_pending_shift(p, &c))
		if (c.drop != NULL)
			c.drop(c.arg);
	free(p->ring);
	*p = (struct rd_pending){0};
}

static void grow(struct rd_pending *p)
{
	size_t cap = p->cap == 0 ? 16 : p->cap * 2;
	struct rd_command *ring = rd_new_array(struct rd_command, cap);

	for (size_t i = 0; i < p->count; i++)
		ring[i] = p->ring[(p->head + i) & (p->cap - 1)];
	free(p->ring);
	p->ring = ring;
	p->cap = cap;
	p->head = 0;
}

void rd_pending_push(struct rd_pending *p, const struct rd_command *c)
{
	if (p->count == p->cap)
		grow(p);
	p->ring[(p->head + p->count) & (p->cap - 1)] = *c;
	p->count++;
}

struct rd_command *rd_pending_first(struct rd_pending *p)
{
	return p->count == 0 ? NULL : &p->ring[p->head];
}

bool rd_pending_shift(struct rd_pending *p, struct rd_command *c_out)
{
	if (p->count == 0)
		return false;
	*c_out = p->ring[p->head];
	p->head = (p->head + 1) & (p->cap - 1);
	p->count--;
	return true;
}

/* Is the word at p this one, whole? */
static bool is_word(const char *p, size_t len, const char *word)
{
	return len == strlen(word) && !strncasecmp(p, word, len);
}

void rd_command_replies(struct rd_command *c, struct rd_slice bytes)
{
	/* "*2\r\n$9\r\nSUBSCRIBE\r\n...": the shortest is longer than this */
	static const size_t least = 20;
	unsigned long words, len;
	char *p;

	c->left = 1;
	c->subscribe = false;
	if (bytes.len < least)
		return;
	words = strtoul(bytes.data + 1, &p, 10);
	len = strtoul(p + 3, &p, 10);
	p += 2;
	c->subscribe =
	    is_word(p, len, "subscribe") || is_word(p, len, "psubscribe") ||
	    is_word(p, len, "ssubscribe") || is_word(p, len, "unsubscribe") ||
	    is_word(p, len, "punsubscribe") || is_word(p, len, "sunsubscribe");
	if (c->subscribe && words > 2)
		c->left = (unsigned)words - 1;
}
