/* SPDX-License-Identifier: MIT */
/*
 * pollset.c -- very many descriptors of one kind; see pollset.h.
 *
 * An epoll descriptor is itself readable while one of its members is ready.
 * So all members stand in an epoll of their own, and the loop watches that one
 * descriptor: an event costs no search and a member no memory outside of the
 * kernel.
 *
 * At most BATCH of them have their turn in one turn of the loop; the others
 * are ready still, and so is the set.
 */
#include "src/pollset.h"
#include "src/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#ifndef BATCH
#define BATCH 1024
#endif

struct rd_pollset {
	struct rd_watch watch; /* of epoll */
	rd_pollset_fn *fn;
	int epoll; /* owned */
	struct epoll_event events[BATCH];
};

static uint32_t to_epoll(short what)
{
	return (what & EV_READ ? EPOLLIN : 0U) |
	       (what & EV_WRITE ? EPOLLOUT : 0U);
}

/* A broken connection is ready for everything, and that says how it broke. */
static short from_epoll(uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP))
		return EV_READ | EV_WRITE;
	return (short)((events & EPOLLIN ? EV_READ : 0) |
		       (events & EPOLLOUT ? EV_WRITE : 0));
}

static void set_ready(void *arg, short what)
{
	struct rd_pollset *set = arg;
	int n = epoll_wait(set->epoll, set->events, BATCH, 0);

	(void)what;
	for (int i = 0; i < n; i++)
		set->fn(set->events[i].data.ptr,
			from_epoll(set->events[i].events));
}

struct rd_pollset *rd_pollset_new(struct rd_loop *loop, rd_pollset_fn *fn)
{
	struct rd_pollset *set = rd_new(struct rd_pollset);

	set->fn = fn;
	set->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (set->epoll < 0)
		abort(); /* as a loop without one */
	rd_watch_init(&set->watch, loop, set->epoll, set_ready, set);
	rd_watch_set(&set->watch, EV_READ);
	return set;
}

void rd_pollset_free(struct rd_pollset **set_p)
{
	struct rd_pollset *set = *set_p;

	if (set == NULL)
		return;
	rd_watch_stop(&set->watch);
	close(set->epoll);
	free(set);
	*set_p = NULL;
}

int rd_pollset_set(struct rd_pollset *set, int fd, void *item, short before,
		   short now)
{
	struct epoll_event ev = {.events = to_epoll(now), .data.ptr = item};
	int op = now == 0      ? EPOLL_CTL_DEL
		 : before == 0 ? EPOLL_CTL_ADD
			       : EPOLL_CTL_MOD;

	if (now == before || epoll_ctl(set->epoll, op, fd, &ev) == 0)
		return RD_OK;
	return RD_EIO;
}
