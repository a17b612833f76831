/* SPDX-License-Identifier: MIT */
/*
 * keeper.c -- who does the housekeeping of a deployment; see keeper.h.
 *
 * The lease is a string that expires, taken and renewed by one script
 * (keep.lua).  Whoever holds it renews it four times in its length; everybody
 * else asks for it about once a second, so a keeper that dies is replaced
 * within about three.  A keeper stops its duties a little before its lease
 * ends by its own clock, counted from when the renewal was sent.
 *
 * Not here: the duties (keeper_due.c, keeper_scan.c, keeper_expire.c,
 * keeper_dead.c).
 */
#include "src/clock.h"
#include "src/keeper_impl.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define LEASE_MS     2000
#define RENEW_MS     500
#define MARGIN_MS    200 /* a keeper stops so much before its lease ends */
#define TRY_MS       750 /* the least wait of the others */
#define TRY_MORE_MS  500 /* and what chance adds */
#define FIRST_MS     200 /* at most, before the first time */
#define WARN_EACH_MS 60000

uint64_t keeper_random(void)
{
	uint32_t r = 0;

	/* Where there are no random bytes, all draw the same. */
	(void)!getrandom(&r, sizeof(r), GRND_NONBLOCK);
	return r >> 1;
}

struct keeper_call *keeper_call_new(struct rd_keeper *k,
				    struct rd_slice channel)
{
	struct keeper_call *call = rd_zalloc(sizeof(*call) + channel.len);

	call->k = k;
	if (channel.len > 0)
		memcpy(call->name, channel.data, channel.len);
	call->channel = (struct rd_slice){call->name, channel.len};
	rd_list_init(&call->link);
	rd_list_push(&k->calls, &call->link);
	return call;
}

void keeper_call_free(struct keeper_call *call)
{
	rd_list_remove(&call->link);
	free(call);
}

void keeper_complain(struct rd_keeper *k, const char *what,
		     struct rd_slice channel, int err,
		     const struct rd_reply *reply)
{
	uint64_t now = rd_clock_ms();

	if (err != RD_EREDIS ||
	    (k->warned_ms != 0 && now - k->warned_ms < WARN_EACH_MS))
		return;
	k->warned_ms = now;
	rd_log(RD_LOG_WARN, "keeper.refused", "duty=%s channel=%.*s why=%.*s",
	       what, RD_SLICE_ARG(channel), RD_SLICE_ARG(reply->str));
}

static void begin(struct rd_keeper *k)
{
	rd_log(RD_LOG_INFO, "keeper.start", "name=%s", k->name);
	k->keeping = true;
	keeper_due_start(k);
	keeper_scan_start(k);
	keeper_expire_start(k);
	keeper_dead_start(k);
}

static void end(struct rd_keeper *k, const char *why)
{
	rd_log(RD_LOG_INFO, "keeper.stop", "name=%s why=%s", k->name, why);
	k->keeping = false;
	keeper_due_stop(k);
	keeper_scan_stop(k);
	keeper_expire_stop(k);
	keeper_dead_stop(k);
}

static void on_lease(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_keeper *k = arg;

	k->asking = false;
	if (k->stopped)
		return;
	keeper_complain(k, "lease", (struct rd_slice){"", 0}, err, reply);
	if (err != RD_OK)
		return;
	if (reply->integer == 1) {
		k->until_ms = k->sent_ms + LEASE_MS - MARGIN_MS;
		if (!k->keeping && rd_clock_ms() < k->until_ms)
			begin(k);
	} else if (k->keeping) {
		end(k, "somebody else has the lease");
	}
}

static int ask(struct rd_keeper *k, int lease_ms)
{
	struct rd_slice key = rd_buf_slice(&k->lease), args[2];
	char text[12];

	snprintf(text, sizeof(text), "%d", lease_ms);
	args[0] = rd_slice_str(k->name);
	args[1] = rd_slice_str(text);
	return rd_script_call(k->link, RD_SCRIPT_KEEP, &key, 1, args, 2,
			      on_lease, k);
}

static void tick(void *arg)
{
	struct rd_keeper *k = arg;
	uint64_t now = rd_clock_ms();

	if (k->keeping && now >= k->until_ms)
		end(k, "the lease could not be renewed");
	if (!k->asking && ask(k, LEASE_MS) == RD_OK) {
		k->asking = true;
		k->sent_ms = now;
	}
	rd_timer_start(&k->tick, k->keeping
				     ? RENEW_MS
				     : TRY_MS + keeper_random() % TRY_MORE_MS);
}

struct rd_keeper *rd_keeper_start(struct rd_loop *loop, struct rd_redis *link,
				  struct rd_doorbell *doorbell,
				  const struct rd_config *cfg, const char *name)
{
	struct rd_keeper *k = rd_new(struct rd_keeper);

	k->loop = loop;
	k->link = link;
	k->doorbell = doorbell;
	k->cfg = cfg;
	/* A name may come back with the next incarnation of a process. */
	k->name = rd_asprintf("%s.%08" PRIx64, name, keeper_random());
	rd_list_init(&k->calls);
	rd_key_global(&k->lease, cfg->prefix, "keeper");
	rd_key_global(&k->channels, cfg->prefix, "channels");
	rd_key_global(&k->fresh, cfg->prefix, "new");
	rd_trim_init(&k->trim, link, cfg->prefix, cfg);
	keeper_due_init(k);
	keeper_scan_init(k);
	keeper_expire_init(k);
	keeper_dead_init(k);
	rd_timer_init(&k->tick, loop, tick, k);
	rd_timer_start(&k->tick, keeper_random() % FIRST_MS);
	return k;
}

void rd_keeper_stop(struct rd_keeper *k)
{
	if (k->stopped)
		return;
	rd_timer_stop(&k->tick);
	k->stopped = true;
	if (!k->keeping)
		return;
	end(k, "this process ends");
	/* A link that is down leaves it to expiry. */
	(void)!ask(k, 0);
}

void rd_keeper_free(struct rd_keeper **kp)
{
	struct rd_keeper *k = *kp;

	*kp = NULL;
	if (k == NULL)
		return;
	rd_keeper_stop(k);
	while (!rd_list_empty(&k->calls))
		keeper_call_free(
		    rd_list_item(k->calls.next, struct keeper_call, link));
	rd_buf_fini(&k->lease);
	rd_buf_fini(&k->channels);
	rd_buf_fini(&k->fresh);
	rd_buf_fini(&k->key);
	rd_buf_fini(&k->beside);
	rd_buf_fini(&k->due.index);
	rd_buf_fini(&k->scan.keys);
	free(k->scan.names);
	rd_trim_fini(&k->trim);
	free(k->name);
	free(k);
}

void rd_keeper_report(const struct rd_keeper *k, struct rd_node *node)
{
	rd_node_add(node, "keeper", k->keeping);
	rd_node_add(node, "promoted", k->promoted);
	rd_node_add(node, "discovered", k->discovered);
	rd_node_add(node, "trimmed", k->trimmed);
	rd_node_add(node, "expired", k->expired);
	rd_node_add(node, "dead_dropped", k->dead_dropped);
}
