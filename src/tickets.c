/* SPDX-License-Identifier: MIT */
/*
 * tickets.c -- the keys of TLS session tickets; see tickets.h.
 *
 * Who has the key of a ticket can read the whole of a TLS 1.2 connection that
 * was resumed by it, so keys must not last.  Each period has a random key of
 * its own, in <data dir>/tickets/<period>, readable by the owner alone. Tickets
 * of the period before are still taken; older files are removed by whoever
 * writes the next.  So a key exists for a day at most, which is as good as a
 * server that keeps its keys in memory and lives for a day, and nobody has to
 * tell anybody that it is time: the clock does.
 *
 * A file is written under a name of its own first, and then linked to its real
 * one: the first link wins, and nobody ever reads half a key.
 */
#include "src/tickets.h"
#include "src/log.h"
#include "src/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct rd_tickets {
	char *dir;       /* owned; of the files */
	uint64_t period; /* that `now` is of; 0: none yet */
	struct rd_ticket_key now;
	struct rd_ticket_key before; /* all zero: there was none */
};

static bool read_key(const char *path, struct rd_ticket_key *key)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, key, sizeof(*key));
	close(fd);
	return n == (ssize_t)sizeof(*key);
}

static bool write_key(const char *path, const struct rd_ticket_key *key)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, key, sizeof(*key)) == (ssize_t)sizeof(*key);
	return close(fd) == 0 && ok;
}

/* Those whose tickets nobody takes any more. */
static void remove_old(const char *dir, uint64_t period)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		char *end, *path;
		uint64_t of = strtoull(e->d_name, &end, 10);

		if (end == e->d_name || of + 1 >= period)
			continue;
		path = rd_asprintf("%s/%s", dir, e->d_name);
		unlink(path);
		free(path);
	}
	if (d != NULL)
		closedir(d);
}

static void draw(void *bytes, size_t len)
{
	if (getrandom(bytes, len, 0) != (ssize_t)len)
		abort(); /* a kernel without randomness serves nobody */
}

/* Writes the key of a period unless another process has; errno. */
static bool make_key(const char *dir, const char *path, uint64_t period,
		     struct rd_ticket_key *key)
{
	char *own = rd_asprintf("%s.%d", path, (int)getpid());
	bool ok;

	(void)!mkdir(dir, 0700); /* or it is there, or open() says why not */
	ok = write_key(own, key) && (link(own, path) == 0 || errno == EEXIST) &&
	     read_key(path, key);
	unlink(own);
	free(own);
	if (ok)
		remove_old(dir, period);
	return ok;
}

/* The key of the present period, made where there is none. */
static void load(struct rd_tickets *t, uint64_t period,
		 struct rd_ticket_key *key)
{
	char *path = rd_asprintf("%s/%llu", t->dir, (unsigned long long)period);

	if (!read_key(path, key)) {
		draw(key, sizeof(*key));
		if (!make_key(t->dir, path, period, key))
			rd_log(RD_LOG_WARN, "tls.tickets", "file=%s why=%s",
			       path, strerror(errno));
	}
	free(path);
}

/* Are the keys in memory those of this time? */
static void refresh(struct rd_tickets *t, uint64_t unix_s)
{
	uint64_t period = unix_s / RD_TICKET_PERIOD_S;
	char *path;

	if (period == t->period)
		return;
	if (t->period != 0 && period == t->period + 1) {
		t->before = t->now;
	} else {
		path = rd_asprintf("%s/%llu", t->dir,
				   (unsigned long long)(period - 1));
		if (!read_key(path, &t->before))
			t->before = (struct rd_ticket_key){0};
		free(path);
	}
	load(t, period, &t->now);
	t->period = period;
}

struct rd_tickets *rd_tickets_new(const char *data_dir)
{
	struct rd_tickets *t = rd_new(struct rd_tickets);

	t->dir = rd_asprintf("%s/tickets", data_dir);
	return t;
}

void rd_tickets_free(struct rd_tickets **tickets)
{
	struct rd_tickets *t = *tickets;

	if (t == NULL)
		return;
	explicit_bzero(&t->now, sizeof(t->now));
	explicit_bzero(&t->before, sizeof(t->before));
	free(t->dir);
	free(t);
	*tickets = NULL;
}

const struct rd_ticket_key *rd_tickets_now(struct rd_tickets *t,
					   uint64_t unix_s)
{
	refresh(t, unix_s);
	return &t->now;
}

const struct rd_ticket_key *rd_tickets_find(
    struct rd_tickets *t, uint64_t unix_s,
    const unsigned char name[RD_TICKET_NAME], bool *old_out)
{
	static const unsigned char none[RD_TICKET_NAME];

	refresh(t, unix_s);
	*old_out = memcmp(name, t->now.name, RD_TICKET_NAME) != 0;
	if (!*old_out)
		return &t->now;
	if (memcmp(name, t->before.name, RD_TICKET_NAME) == 0 &&
	    memcmp(name, none, RD_TICKET_NAME) != 0)
		return &t->before;
	return NULL;
}
