/* SPDX-License-Identifier: MIT */
/*
 * plain.c -- the least that a consumer in C can do; see plain.h.
 */
#include "tests/bench/plain.h"
#include "tests/bench/measure.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT   100
#define READERS 16

/* The next answer, which may be no error. */
static redisReply *answer(redisContext *c)
{
	redisReply *reply = NULL;

	if (redisGetReply(c, (void **)&reply) != REDIS_OK ||
	    reply->type == REDIS_REPLY_ERROR)
		die("the plain reader");
	return reply;
}

static void append_ack(redisContext *c, const char *stream, const char *group,
		       const redisReply *entries)
{
	const char *argv[3 + COUNT] = {"XACK", stream, group};
	size_t lens[3 + COUNT] = {4, strlen(stream), strlen(group)};
	size_t n = entries->elements;

	for (size_t i = 0; i < n; i++) {
		const redisReply *id = entries->element[i]->element[0];

		argv[3 + i] = id->str;
		lens[3 + i] = id->len;
	}
	redisAppendCommandArgv(c, (int)(3 + n), argv, lens);
}

static void reader(const struct test_redis *redis, const char *stream,
		   const char *group, int go)
{
	redisContext *c = test_redis_connect(redis);
	redisReply *page = NULL;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)!read(go, &byte, 1); /* the end of the pipe: all are there */
	for (;;) {
		bool ack = page != NULL;

		if (ack)
			append_ack(c, stream, group,
				   page->element[0]->element[1]);
		redisAppendCommand(
		    c, "XREADGROUP GROUP %s r%d COUNT %d STREAMS %s >", group,
		    (int)getpid(), COUNT, stream);
		freeReplyObject(page);
		if (ack)
			freeReplyObject(answer(c));
		page = answer(c);
		if (page->type == REDIS_REPLY_NIL)
			_exit(0);
	}
}

void plain_read(struct test_redis *redis, const char *stream, const char *group,
		int readers, struct plain *out)
{
	int go[2], status;
	pid_t pids[READERS];
	double start;

	*out = (struct plain){0};
	test_do(redis, "XGROUP CREATE %s %s 0", stream, group);
	if (pipe(go) != 0)
		die("pipe");
	for (int i = 0; i < readers && i < READERS; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork");
		if (pids[i] == 0) {
			close(go[1]);
			reader(redis, stream, group, go[0]);
		}
	}
	usleep(100000); /* they connect; who is late is no worse than late */
	close(go[0]);
	start = now();
	close(go[1]);
	for (int i = 0; i < readers && i < READERS; i++) {
		struct rusage used;

		if (wait4(pids[i], &status, 0, &used) < 0 || status != 0)
			die("the plain reader");
		out->cpu +=
		    (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
		    (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) /
			1e6;
	}
	out->wall = now() - start;
}
