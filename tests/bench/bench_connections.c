/* SPDX-License-Identifier: MIT */
/*
 * bench_connections.c -- what clients cost that come, and that only sit there.
 *
 *	handshakes	 per CPU second of one gateway, from accept to welcome:
 *			 in the clear (also of a bare server that only answers),
 *by TLS, and by a TLS session resumed
 *	idle		 bytes of a gateway for each of 15,000 clients, each of
 *			 which follows a channel
 *	ninety_thousand	 over six gateways on one port, and then one message to
 *			 all of them
 *
 * What the kernel keeps for a socket is not counted.
 *
 *	bench_connections PROGRAM [cell ...]
 */
#include "tests/bench/bare.h"
#include "tests/bench/bare_tls.h"
#include "tests/bench/crowd.h"
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

/* Handshakes per CPU second of whoever listens there. */
static double handshakes(const char *name, pid_t pid, int port, bool tls,
			 bool resume)
{
	double cpu = 0, wall = 0, end = now() + 8;
	int done = 0, resumed = 0;

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
		wall += now() - from;
		done += plan.count;
		resumed += crowd.resumed;
		crowd_close(&crowd);
		wait_for_rest(pid);
	} while (now() < end);
	printf("cell=%s handshakes=%d resumed=%d wall_s=%.2f cpu_s=%.2f "
	       "per_cpu_s=%.0f\n",
	       name, done, resumed, wall, cpu, done / cpu);
	return done / cpu;
}

static double gateway_handshakes(struct site *site, const char *name, bool tls,
				 bool resume)
{
	struct gateway g;
	double rate;

	start(site, &g, tls);
	rate = handshakes(name, g.pid, g.port, tls, resume);
	gateway_stop(&g);
	return rate;
}

static void idle(struct site *site, const char *name, bool tls)
{
	struct gateway g;
	struct crowd crowd;
	struct crowd_plan plan = {.count = IDLE,
				  .window = WINDOW,
				  .source = 1,
				  .channel = "idle",
				  .tls = tls};
	long before, after;

	start(site, &g, tls);
	before = rss_of(g.pid);
	plan.port = g.port;
	crowd_open(&crowd, &plan);
	wait_for_rest(g.pid);
	after = rss_of(g.pid);
	printf("cell=%s clients=%d bytes_per_connection=%ld\n", name, IDLE,
	       (after - before) / IDLE);
	crowd_close(&crowd);
	gateway_stop(&g);
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

static void ninety_thousand(struct site *site)
{
	struct gateway g[GATEWAYS];
	struct party parties[GATEWAYS];
	long before = 0, after = 0;
	int port = free_port(), open = 0, heard = 0;
	const char text[] = {MARK, '\0'};
	double opening, telling, cpu = 0;

	for (int i = 0; i < GATEWAYS; i++) {
		const struct gateway_plan plan = {.index = i, .port = port};

		gateway_start_as(&g[i], site->program, &site->redis, &plan);
		before += rss_of(g[i].pid);
	}
	opening = now();
	for (int i = 0; i < GATEWAYS; i++)
		party_start(&parties[i], port, i + 2);
	for (int i = 0; i < GATEWAYS; i++)
		open += hear(&parties[i]);
	opening = now() - opening;
	for (int i = 0; i < GATEWAYS; i++) {
		wait_for_rest(g[i].pid);
		after += rss_of(g[i].pid);
		cpu -= cpu_of(g[i].pid);
	}
	telling = now();
	test_do(&site->redis, "XADD rd:ch:ninety * text %s", text);
	for (int i = 0; i < GATEWAYS; i++)
		heard += hear(&parties[i]);
	telling = now() - telling;
	for (int i = 0; i < GATEWAYS; i++)
		cpu += cpu_of(g[i].pid);
	printf("cell=ninety_thousand gateways=%d open=%d opening_s=%.2f "
	       "bytes_per_connection=%ld heard=%d telling_s=%.3f "
	       "telling_cpu_s=%.3f\n",
	       GATEWAYS, open, opening, (after - before) / open, heard, telling,
	       cpu);
	for (int i = 0; i < GATEWAYS; i++) {
		kill(parties[i].pid, SIGKILL);
		waitpid(parties[i].pid, NULL, 0);
		close(parties[i].told);
		gateway_stop(&g[i]);
	}
}

/* ---- cells ---- */

static void plain(struct site *site)
{
	struct bare bare;
	double rate =
	    gateway_handshakes(site, "handshakes_plain", false, false);

	bare_greeter(&bare);
	printf("cell=handshakes_plain share_of_bare=%.2f\n",
	       rate / handshakes("handshakes_bare", bare.pid, bare.port, false,
				 false));
	bare_stop(&bare);
}

/* Beside OpenSSL, as it does nothing else. */
static void tls(struct site *site, const char *name, bool resume)
{
	double rate = gateway_handshakes(site, name, true, resume);
	double bare = bare_tls_handshakes(site->cert, site->key, resume);

	printf("cell=%s bare_per_cpu_s=%.0f share_of_bare=%.2f\n", name, bare,
	       rate / bare);
}

static void tls_full(struct site *site)
{
	tls(site, "handshakes_tls", false);
}

static void tls_resumed(struct site *site)
{
	tls(site, "handshakes_tls_resumed", true);
}

static void idle_plain(struct site *site)
{
	idle(site, "idle_plain", false);
}

static void idle_tls(struct site *site)
{
	idle(site, "idle_tls", true);
	printf("cell=idle_tls bytes_of_openssl=%ld\n",
	       bare_tls_bytes(site->cert, site->key));
}

static const struct {
	const char *name;
	void (*run)(struct site *site);
} cells[] = {
    {"handshakes_plain", plain},
    {"handshakes_tls", tls_full},
    {"handshakes_tls_resumed", tls_resumed},
    {"idle_plain", idle_plain},
    {"idle_tls", idle_tls},
    {"ninety_thousand", ninety_thousand},
};

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc <= 2;
}

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
		cells[i].run(&site);
		fflush(stdout);
		test_redis_stop(&site.redis);
	}
	return EXIT_SUCCESS;
}
