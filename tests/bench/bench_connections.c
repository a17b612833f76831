/* SPDX-License-Identifier: MIT */
/*
 * bench_connections.c -- what clients cost that come, and that only sit there.
 *
 *	handshakes	 per CPU second of one gateway, from accept to welcome:
 *			 in the clear, beside a bare server that only answers;
 *			 by TLS and by a TLS session resumed, beside OpenSSL as
 *			 it does nothing else
 *	idle		 bytes of a gateway for each of 15,000 clients, each of
 *			 which follows a channel
 *	ninety_thousand	 over six gateways on one port, and then one message to
 *			 all of them, beside a bare loop for one of the six
 *
 * What the kernel keeps for a socket is not counted.
 *
 *	bench_connections PROGRAM [cell ...]
 */
#include "tests/bench/bare.h"
#include "tests/bench/bare_tls.h"
#include "tests/bench/crowd.h"
#include "tests/bench/report.h"
#include "tests/bench/swarm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDLE     15000 /* clients of one gateway: a process has 20,000 files */
#define WINDOW   128   /* handshakes under way at once */
#define GATEWAYS 6
#define TOLD     88 /* bytes of a push of one short message */

/* What all cells need. */
struct site {
	const char *program;
	struct test_redis redis;
	char cert[96]; /* made for this run */
	char key[96];
};

static void make_certificate(struct site *site)
{
	char command[512];

	snprintf(site->cert, sizeof(site->cert), "%s/cert", site->redis.dir);
	snprintf(site->key, sizeof(site->key), "%s/key", site->redis.dir);
	snprintf(command, sizeof(command),
		 "openssl req -x509 -newkey ec -pkeyopt "
		 "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bench "
		 "-keyout %s -out %s 2>/dev/null",
		 site->key, site->cert);
	if (system(command) != 0)
		die("openssl req");
}

static void start(struct site *site, struct gateway *g, bool tls)
{
	struct gateway_plan plan = {0};

	if (tls) {
		plan.cert = site->cert;
		plan.key = site->key;
	}
	gateway_start_as(g, site->program, &site->redis, &plan);
}

/* Until a server has buried its clients. */
static void wait_for_rest(pid_t pid)
{
	for (double before = -1; cpu_of(pid) - before > 0.001;) {
		before = cpu_of(pid);
		usleep(50000);
	}
}

/* What one kind of handshake has cost. */
struct handshakes {
	int done;
	int resumed;
	double wall; /* seconds */
	double per_cpu_s;
};

static void handshakes(struct handshakes *h, pid_t pid, int port, bool tls,
		       bool resume)
{
	double cpu = 0, end = now() + 6;

	*h = (struct handshakes){0};
	do {
		const struct crowd_plan plan = {.port = port,
						.count = tls ? 2000 : 8000,
						.window = WINDOW,
						.source = 1,
						.tls = tls,
						.resume = resume};
		struct crowd crowd;
		double before = cpu_of(pid), from = now();

		crowd_open(&crowd, &plan);
		cpu += cpu_of(pid) - before;
		h->wall += now() - from;
		h->done += plan.count;
		h->resumed += crowd.resumed;
		crowd_close(&crowd);
		wait_for_rest(pid);
	} while (now() < end);
	h->per_cpu_s = h->done / cpu;
}

static void handshakes_of(struct site *site, const char *cell, bool tls,
			  bool resume)
{
	struct figure figure = {.cell = cell, .what = "handshakes_per_cpu_s"};
	struct handshakes h, plain;
	struct gateway g;
	struct bare bare;

	start(site, &g, tls);
	handshakes(&h, g.pid, g.port, tls, resume);
	gateway_stop(&g);
	figure.value = h.per_cpu_s;
	if (tls) {
		figure.bare =
		    bare_tls_handshakes(site->cert, site->key, resume);
	} else {
		bare_greeter(&bare, NULL, 0);
		handshakes(&plain, bare.pid, bare.port, false, false);
		bare_stop(&bare);
		figure.bare = plain.per_cpu_s;
		figure.bound = AT_LEAST;
		figure.asked = 40000;
	}
	report(&figure, "handshakes=%d resumed=%d wall_s=%.2f", h.done,
	       h.resumed, h.wall);
}

/* Bytes of a server for each of so many clients. */
static double idle_bytes(pid_t pid, int port, const char *channel, bool tls)
{
	const struct crowd_plan plan = {.port = port,
					.count = IDLE,
					.window = WINDOW,
					.source = 1,
					.channel = channel,
					.tls = tls};
	struct crowd crowd;
	long before = rss_of(pid), after;

	crowd_open(&crowd, &plan);
	wait_for_rest(pid);
	after = rss_of(pid);
	crowd_close(&crowd);
	return (double)(after - before) / IDLE;
}

static void idle(struct site *site, const char *cell, bool tls)
{
	struct figure figure = {cell,    "bytes_per_connection", 0,
				AT_MOST, tls ? 12 * 1024 : 1024, 0};
	struct gateway g;
	struct bare bare;

	start(site, &g, tls);
	figure.value = idle_bytes(g.pid, g.port, "idle", tls);
	gateway_stop(&g);
	if (tls) {
		figure.bare = (double)bare_tls_bytes(site->cert, site->key);
	} else {
		bare_greeter(&bare, NULL, 0);
		figure.bare = idle_bytes(bare.pid, bare.port, NULL, false);
		bare_stop(&bare);
	}
	report(&figure, "clients=%d", IDLE);
}

/* ---- ninety thousand ---- */

struct party {
	pid_t pid;
	int told; /* pipe: an int when all are open, one when all was heard */
};

static void tell(int fd, int n)
{
	if (write(fd, &n, sizeof(n)) != sizeof(n))
		die("write");
}

static int hear(const struct party *p)
{
	int n = 0;

	if (read(p->told, &n, sizeof(n)) != sizeof(n))
		die("a party of clients");
	return n;
}

static void party_run(int port, int source, int fd)
{
	const struct crowd_plan plan = {.port = port,
					.count = IDLE,
					.window = WINDOW,
					.source = source,
					.channel = "ninety"};
	struct crowd crowd;
	double end;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	crowd_open(&crowd, &plan);
	tell(fd, crowd.open);
	for (end = now() + 30; crowd.marks < IDLE && now() < end;)
		crowd_receive(&crowd, 100);
	tell(fd, (int)crowd.marks);
	pause();
}

static void party_start(struct party *p, int port, int source)
{
	int fds[2];

	if (pipe(fds) != 0)
		die("pipe");
	p->told = fds[0];
	p->pid = fork();
	if (p->pid < 0)
		die("fork");
	if (p->pid == 0)
		party_run(port, source, fds[1]);
	close(fds[1]);
}

/* Six gateways on one port, and what they hold and have used in all. */
struct party_hosts {
	struct gateway g[GATEWAYS];
	int port;
};

static void hosts_start(struct party_hosts *h, const struct site *site)
{
	h->port = free_port();
	for (int i = 0; i < GATEWAYS; i++) {
		const struct gateway_plan plan = {.index = i, .port = h->port};

		gateway_start_as(&h->g[i], site->program, &site->redis, &plan);
	}
}

static double hosts_bytes(const struct party_hosts *h)
{
	double bytes = 0;

	for (int i = 0; i < GATEWAYS; i++)
		bytes += (double)rss_of(h->g[i].pid);
	return bytes;
}

static double hosts_cpu(const struct party_hosts *h)
{
	double cpu = 0;

	for (int i = 0; i < GATEWAYS; i++)
		cpu += cpu_of(h->g[i].pid);
	return cpu;
}

/* Processor time of a bare loop that sends one such message to 15,000. */
static double bare_telling(void)
{
	struct bare bare;
	struct swarm s;
	double cpu;

	bare_sender(&bare, IDLE, TOLD);
	swarm_open_bare(&s, bare.port, IDLE);
	wait_for_rest(bare.pid);
	cpu = cpu_of(bare.pid);
	bare_order(&bare);
	while (s.bytes < IDLE * TOLD)
		swarm_receive(&s, 10);
	cpu = cpu_of(bare.pid) - cpu;
	bare_stop(&bare);
	swarm_close(&s);
	return cpu;
}

static void hosts_tell(const struct party_hosts *h, struct site *site,
		       const struct party parties[GATEWAYS])
{
	const char text[] = {MARK, '\0'};
	double cpu = hosts_cpu(h), wall = now(), heard = 0;

	test_do(&site->redis, "XADD rd:ch:ninety * text %s", text);
	for (int i = 0; i < GATEWAYS; i++)
		heard += hear(&parties[i]);
	wall = now() - wall;
	cpu = hosts_cpu(h) - cpu;
	report(&(struct figure){"ninety_heard", "clients", heard, AT_LEAST,
				GATEWAYS * IDLE, 0},
	       "wall_s=%.3f", wall);
	report(&(struct figure){"ninety_telling", "cpu_s", cpu, UNASKED, 0,
				GATEWAYS * bare_telling()},
	       "wall_s=%.3f", wall);
}

static void ninety_thousand(struct site *site, const char *cell)
{
	struct party parties[GATEWAYS];
	struct party_hosts h;
	double before, opening, open = 0;

	(void)cell;
	hosts_start(&h, site);
	before = hosts_bytes(&h);
	opening = now();
	for (int i = 0; i < GATEWAYS; i++)
		party_start(&parties[i], h.port, i + 2);
	for (int i = 0; i < GATEWAYS; i++)
		open += hear(&parties[i]);
	opening = now() - opening;
	for (int i = 0; i < GATEWAYS; i++)
		wait_for_rest(h.g[i].pid);
	report(&(struct figure){"ninety_open", "clients", open, AT_LEAST,
				GATEWAYS * IDLE, 0},
	       "gateways=%d opening_s=%.2f", GATEWAYS, opening);
	report(&(struct figure){"ninety_memory", "bytes_per_connection",
				(hosts_bytes(&h) - before) / open, AT_MOST,
				1024, 0},
	       NULL);
	hosts_tell(&h, site, parties);
	for (int i = 0; i < GATEWAYS; i++) {
		kill(parties[i].pid, SIGKILL);
		waitpid(parties[i].pid, NULL, 0);
		close(parties[i].told);
		gateway_stop(&h.g[i]);
	}
}

/* ---- cells ---- */

static void plain(struct site *site, const char *cell)
{
	handshakes_of(site, cell, false, false);
}

static void tls_full(struct site *site, const char *cell)
{
	handshakes_of(site, cell, true, false);
}

static void tls_resumed(struct site *site, const char *cell)
{
	handshakes_of(site, cell, true, true);
}

static void idle_plain(struct site *site, const char *cell)
{
	idle(site, cell, false);
}

static void idle_tls(struct site *site, const char *cell)
{
	idle(site, cell, true);
}

static const struct {
	const char *name;
	void (*run)(struct site *site, const char *cell);
} cells[] = {
    {"handshakes_plain", plain},
    {"handshakes_tls", tls_full},
    {"handshakes_tls_resumed", tls_resumed},
    {"idle_plain", idle_plain},
    {"idle_tls", idle_tls},
    {"ninety_thousand", ninety_thousand},
};

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr,
			"usage: bench_connections PROGRAM [cell ...]\n");
		return 64;
	}
	for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
		struct site site = {.program = argv[1]};

		if (!wanted(cells[i].name, argc, argv))
			continue;
		test_redis_start(&site.redis);
		make_certificate(&site);
		cells[i].run(&site, cells[i].name);
		test_redis_stop(&site.redis);
	}
	return EXIT_SUCCESS;
}
