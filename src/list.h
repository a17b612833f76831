/* SPDX-License-Identifier: MIT */
/*
 * list.h -- intrusive, circular, doubly linked lists.
 *
 * The head is a link of its own.  A link that is on no list points at itself,
 * so removing twice is harmless and "is it on a list?" has an answer.
 */
#ifndef RD_SRC_LIST_H
#define RD_SRC_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct rd_list {
	struct rd_list *next; /* borrowed: the neighbour, or itself */
	struct rd_list *prev;
};

/* The struct of `type` whose member `member` this link is. */
#define rd_list_item(link, type, member)                                       \
	((type *)(void *)((char *)(link)-offsetof(type, member)))

/* Walks the links; _safe allows the current one to be removed. */
#define rd_list_each(pos, head)                                                \
	for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)
#define rd_list_each_safe(pos, tmp, head)                                      \
	for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head);       \
	     (pos) = (tmp), (tmp) = (pos)->next)

static inline void rd_list_init(struct rd_list *l)
{
	l->next = l->prev = l;
}

static inline bool rd_list_empty(const struct rd_list *l)
{
	return l->next == l;
}

/* Puts an unlinked link before `at`; before the head means last. */
static inline void rd_list_insert(struct rd_list *at, struct rd_list *link)
{
	link->prev = at->prev;
	link->next = at;
	at->prev->next = link;
	at->prev = link;
}

static inline void rd_list_push(struct rd_list *head, struct rd_list *link)
{
	rd_list_insert(head, link);
}

/* Takes the link off whatever list it is on. */
static inline void rd_list_remove(struct rd_list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	rd_list_init(link);
}

/* Removes and returns the first link, or NULL where there is none. */
static inline struct rd_list *rd_list_shift(struct rd_list *head)
{
	struct rd_list *first = head->next;

	if (first == head)
		return NULL;
	rd_list_remove(first);
	return first;
}

#endif
