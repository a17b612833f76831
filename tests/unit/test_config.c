/* SPDX-License-Identifier: MIT */
/*
 * test_config.c -- src/config*.c and src/options.c.
 *
 * Where settings come from and which source wins, the way back through the
 * environment to a child, and the sentences that an operator gets to read.
 */
#include "src/config.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <unistd.h>

extern char **environ;

static struct rd_config cfg;
static struct rd_buf why;
static char *rest[32];
static int rest_count;

static void setup(void)
{
	for (char **e = environ; *e != NULL;)
		if (!strncmp(*e, "REDISTRIBUTE_", 13)) {
			char *name = strdup(*e);

			*strchr(name, '=') = '\0';
			unsetenv(name);
			free(name);
			e = environ;
		} else {
			e++;
		}
	rd_config_init(&cfg);
	rd_buf_init(&why);
}

static void teardown(void)
{
	rd_config_fini(&cfg);
	rd_buf_fini(&why);
}

/* Writes a file of settings; its path is good until the next one. */
static const char *file(const char *text)
{
	static char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/test_config.%d", (int)getpid());
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	return path;
}

/* Loads from flags, the last of which is NULL. */
static int load(const char *const *flags)
{
	char *argv[32] = {(char *)"redistribute"};
	int argc = 1;

	while (flags[argc - 1] != NULL) {
		argv[argc] = (char *)(uintptr_t)flags[argc - 1];
		argc++;
	}
	return rd_config_load(&cfg, argc, argv, 1, rest, &rest_count, &why);
}

#define LOAD(...) load((const char *[]){__VA_ARGS__, NULL})
#define ck_load(...)                                                           \
	ck_assert_msg(LOAD(__VA_ARGS__) == RD_OK, "%s", rd_buf_text(&why))

START_TEST(test_defaults)
{
	setup();
	ck_assert_int_eq(cfg.workers, 1);
	ck_assert_str_eq(cfg.prefix, "rd");
	ck_assert_str_eq(cfg.targets, "");
	ck_assert_int_eq(cfg.drain_timeout_ms, 25000);
	ck_assert_int_eq(cfg.max_message_bytes, 65536);
	ck_assert(!cfg.insecure);
	ck_assert_int_eq(cfg.consume.count, 0);
	ck_assert_int_eq(rd_config_check(&cfg, &why), RD_OK);
	teardown();
}
END_TEST

START_TEST(test_precedence)
{
	const char *path;

	setup();
	path = file("workers = 2\ngateways = 2\nport = 2\nconsume = f1\n"
		    "consume = f2\norigin = http://f\n");
	setenv("REDISTRIBUTE_GATEWAYS", "3", 1);
	setenv("REDISTRIBUTE_PORT", "3", 1);
	setenv("REDISTRIBUTE_CONSUME", "e1,e2", 1);
	ck_load("--port=4", "--config", path, "--consume", "a",
		"--consume=b,c");
	ck_assert_int_eq(cfg.workers, 2);
	ck_assert_int_eq(cfg.gateways, 3);
	ck_assert_int_eq(cfg.port, 4);
	ck_assert_int_eq(cfg.consume.count, 2);
	ck_assert_str_eq(cfg.consume.items[0], "a");
	ck_assert_str_eq(cfg.consume.items[1], "b,c");
	ck_assert_int_eq(cfg.origin.count, 1);
	teardown();
	unlink(path);
}
END_TEST

START_TEST(test_config_by_environment)
{
	const char *path;

	setup();
	path = file("workers = 7\n");
	setenv("REDISTRIBUTE_CONFIG", path, 1);
	ck_load("word");
	ck_assert_int_eq(cfg.workers, 7);
	unlink(path);
	ck_assert_int_eq(LOAD("word"), RD_ECONFIG);
	ck_buf_has(&why, "No such file");
	ck_load("--config="); /* none after all */
	teardown();
}
END_TEST

START_TEST(test_flags)
{
	setup();
	ck_load("publish", "--workers", "3", "-", "--insecure", "-10",
		"--lease=2s", "--max-message", "16m", "--", "--port", "x");
	ck_assert_int_eq(cfg.workers, 3);
	ck_assert(cfg.insecure);
	ck_assert_int_eq(cfg.lease_ms, 2000);
	ck_assert_int_eq(cfg.max_message_bytes, 16 << 20);
	ck_assert_int_eq(rest_count, 5);
	ck_assert_str_eq(rest[0], "publish");
	ck_assert_str_eq(rest[1], "-");
	ck_assert_str_eq(rest[2], "-10");
	ck_assert_str_eq(rest[3], "--port");
	ck_load("--no-insecure");
	ck_assert(!cfg.insecure);
	ck_load("--insecure=yes", "--node=");
	teardown();
}
END_TEST

START_TEST(test_one_flag)
{
	static char words[][10] = {"--workers", "9", "--mine", "--lease",
				   "word"};
	char *argv[] = {words[0], words[1], words[2], words[3], words[4]};
	int at = 0;

	setup();
	ck_assert_int_eq(rd_config_flag(&cfg, 5, argv, &at, &why), RD_OK);
	ck_assert_int_eq(at, 2);
	ck_assert_int_eq(cfg.workers, 9);
	ck_assert_int_eq(rd_config_flag(&cfg, 5, argv, &at, &why),
			 RD_ENOTFOUND);
	ck_assert_int_eq(at, 2);
	at = 3;
	ck_assert_int_eq(rd_config_flag(&cfg, 5, argv, &at, &why), RD_EINVAL);
	ck_buf_has(&why, "--lease: expected a time");
	at = 4;
	ck_assert_int_eq(rd_config_flag(&cfg, 5, argv, &at, &why),
			 RD_ENOTFOUND);
	at = 5;
	ck_assert_int_eq(rd_config_flag(&cfg, 5, argv, &at, &why),
			 RD_ENOTFOUND);
	teardown();
}
END_TEST

START_TEST(test_bad_flags)
{
	static const struct {
		const char *flags[4];
		const char *words;
	} bad[] = {
	    {{"--what"}, "--what: unknown flag"},
	    {{"-w"}, "-w: unknown flag"},
	    {{"--no-workers"}, "--no-workers: unknown flag"},
	    {{"--no-insecure=yes"}, "expected no value"},
	    {{"--workers"}, "--workers: expected a value"},
	    {{"--team", "--workers", "3"}, "--team: expected a value"},
	    {{"--config"}, "--config: expected a value"},
	    {{"--workers=513"}, "a number from 0 to 512, found \"513\""},
	    {{"--workers=-1"}, "found \"-1\""},
	    {{"--workers=1x"}, "found \"1x\""},
	    {{"--workers="}, "found \"\""},
	    {{"--workers=99999999999999999999"}, "--workers: expected"},
	    {{"--port", "0"}, "from 1 to 65535"},
	    {{"--lease=10d"},
	     "a time (500ms, 10s, 2m, 1h, 7d) from 500ms to 10m"},
	    {{"--lease=1ms"}, "found \"1ms\""},
	    {{"--lease=99999999999999999h"}, "--lease: expected"},
	    {{"--max-message=64t"}, "a size (512, 64k, 16m, 1g) from 128"},
	    {{"--insecure=maybe"}, "yes or no, found \"maybe\""},
	    {{"--log-format=xml"}, "one of text|json, found \"xml\""},
	    {{"--log-format=te"}, "found \"te\""},
	    {{"--log-format=text|json"}, "found \"text|json\""},
	    {{"--log-level="}, "one of debug|info|warn|error"},
	    {{"--log-level=\n"}, "found \"?\""},
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		setup();
		ck_assert_msg(load(bad[i].flags) != RD_OK, "%s",
			      bad[i].flags[0]);
		ck_buf_has(&why, bad[i].words);
		teardown();
	}
}
END_TEST

START_TEST(test_file)
{
	char text[1200] = "# comment\n; another\n\n[redistribute]\n"
			  "handler = exec:sh -c 'a ; b' # c\n"
			  "insecure = yes\nhost=0.0.0.0\n"
			  "drain-timeout = 2m\nnode = ";
	const char *path;

	setup();
	/* A line beyond the 200 bytes of inih's own buffer. */
	strcat(text, "x\ndata-dir = /");
	memset(text + strlen(text), 'y', 600);
	strcat(text, "\nconsume = a\nconsume = b c\n");
	path = file(text);
	ck_assert_msg(rd_config_file(&cfg, path, &why) == RD_OK, "%s",
		      rd_buf_text(&why));
	ck_assert_str_eq(cfg.handler, "exec:sh -c 'a ; b' # c");
	ck_assert(cfg.insecure);
	ck_assert_str_eq(cfg.host, "0.0.0.0");
	ck_assert_int_eq(cfg.drain_timeout_ms, 120000);
	ck_assert_uint_eq(strlen(cfg.data_dir), 601);
	ck_assert_int_eq(cfg.consume.count, 2);
	ck_assert_str_eq(cfg.consume.items[1], "b c");
	teardown();
	unlink(path);
}
END_TEST

static void never(void *arg, const char *name)
{
	(void)arg;
	ck_abort_msg("%s differs", name);
}

/* What a team has otherwise, and that flags do not reach into it. */
START_TEST(test_sections)
{
	struct rd_config team;
	const char *path;

	setup();
	path = file("\xef\xbb\xbf[team a]\nconsume = x\nconsume = y*\n"
		    "  workers = 3\nretry-delay=2s\n\n"
		    "[ team\tb.2 ] # idle\n[redistribute]\nbatch = 7\n"
		    "workers = 1\nconsume = z\n[team c]\nworkers = 0\n"
		    "batch = 8\nbatch = 9\nconsume =\n");
	ck_load("--config", path, "--batch=6", "--workers=5");
	ck_assert_int_eq(cfg.section_count, 3);
	ck_assert_int_eq(rd_config_team_count(&cfg), 4);
	ck_assert_int_eq(rd_config_workers(&cfg), 5 + 3 + 5 + 0);
	rd_config_team(&cfg, 0, &team);
	ck_assert_str_eq(team.team, "workers");
	ck_assert_int_eq(team.section_count, 0);
	rd_config_diff(&cfg, &team, never, NULL);
	rd_config_fini(&team);
	rd_config_team(&cfg, 1, &team);
	ck_assert_str_eq(team.team, "a");
	ck_assert_int_eq(team.workers, 3);
	ck_assert_int_eq(team.batch, 6);
	ck_assert_int_eq(team.retry_delay_ms, 2000);
	ck_assert_int_eq(team.consume.count, 2);
	ck_assert_str_eq(team.consume.items[1], "y*");
	rd_config_fini(&team);
	rd_config_team(&cfg, 2, &team);
	ck_assert_str_eq(team.team, "b.2");
	ck_assert_int_eq(team.workers, 5);
	ck_assert_str_eq(team.consume.items[0], "z");
	rd_config_fini(&team);
	rd_config_team(&cfg, 3, &team);
	ck_assert_int_eq(team.workers, 0);
	ck_assert_int_eq(team.batch, 9);
	ck_assert_int_eq(team.consume.count, 0);
	rd_config_fini(&team);
	teardown();
	unlink(path);
}
END_TEST

/* The team that nobody named is none where there are sections. */
START_TEST(test_sections_alone)
{
	struct rd_config team;
	const char *path;

	setup();
	ck_assert_int_eq(rd_config_team_count(&cfg), 1);
	path = file("workers = 4\n[team workers]\n");
	ck_load("--config", path);
	ck_assert_int_eq(rd_config_team_count(&cfg), 1);
	ck_assert_int_eq(rd_config_workers(&cfg), 4);
	rd_config_team(&cfg, 0, &team);
	ck_assert_str_eq(team.team, "workers");
	rd_config_fini(&team);
	teardown();
	unlink(path);
}
END_TEST

START_TEST(test_bad_sections)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
	    {"[team a]\n[team a]\n", ":2: the team a stands at"},
	    {"[team]\n", ":1: expected [team NAME]"},
	    {"\n[team a b]\n", ":2: expected [team NAME]"},
	    {"[team a] x\n", ":1: expected nothing behind the section"},
	    {"[teams]\n", ":1: unknown section [teams]"},
	    {"[]\n", ":1: unknown section []"},
	    {"[team a\n", ":1: expected name = value"},
	    {"nonsense\n[team]\n", ":1: expected name = value"},
	    {"[team]\nnonsense\n", ":1: expected [team NAME]"},
	    {"[team a]\nwhat = 1\n", ":2: unknown option \"what\""},
	    {"[team a]\ngateways = 1\n", ":2: gateways is not an option"},
	    {"[team a]\nteam = b\n", ":2: team is not an option"},
	    {"[team a]\nlease = 1ms\n", ":2: lease: expected a time"},
	    {"[team a]\nconsume = {\n", ":1: [team a]: consume: expected"},
	    {"[team a]\nworkers=3\nworkers-max=2\n",
	     ":1: [team a]: workers-max: 2 is less than workers, 3"},
	    {"consume=a\n[team workers]\n", ":2: the team workers is also"},
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		const char *path = file(bad[i].text);

		setup();
		ck_assert_msg(LOAD("--config", path) == RD_ECONFIG, "%s",
			      bad[i].text);
		ck_buf_has(&why, bad[i].words);
		ck_buf_has(&why, path);
		teardown();
		unlink(path);
	}
}
END_TEST

START_TEST(test_bad_files)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
	    {"\n\nworker = 3\n", ":3: unknown option \"worker\""},
	    {"workers = many\n", ":1: workers: expected a number"},
	    {"[other]\nworkers = 3\n", ":1: unknown section [other]"},
	    {"workers = 1\nnonsense\nworker = 1\n",
	     ":2: expected name = value"},
	    {"worker = 1\nnonsense\n", ":1: unknown option"},
	    {"drain_timeout = 1s\n", "unknown option"},
	    {"[redistribute\nworkers = 1\n", ":1: expected"},
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		const char *path = file(bad[i].text);

		setup();
		ck_assert_msg(rd_config_file(&cfg, path, &why) == RD_ECONFIG,
			      "%s", bad[i].text);
		ck_buf_has(&why, bad[i].words);
		ck_buf_has(&why, path);
		teardown();
		unlink(path);
	}
	setup();
	ck_assert_int_eq(rd_config_file(&cfg, "/nowhere", &why), RD_ECONFIG);
	ck_buf_has(&why, "/nowhere: No such file");
	ck_assert_int_eq(rd_config_file(&cfg, "/tmp", &why), RD_ECONFIG);
	ck_buf_has(&why, "/tmp: Is a directory");
	teardown();
}
END_TEST

START_TEST(test_environment)
{
	setup();
	setenv("REDISTRIBUTE_MAX_MESSAGE", "1m", 1);
	setenv("REDISTRIBUTE_INSECURE", "1", 1);
	setenv("REDISTRIBUTE_CONSUME", " a, b c ,,d", 1);
	setenv("REDISTRIBUTE_ORIGIN", "http://a,b\nhttp://c\n", 1);
	setenv("REDISTRIBUTE_SERVICE_HOST", "somebody else's", 1);
	ck_assert_int_eq(rd_config_env(&cfg, &why), RD_OK);
	ck_assert_int_eq(cfg.max_message_bytes, 1 << 20);
	ck_assert(cfg.insecure);
	ck_assert_int_eq(cfg.consume.count, 3);
	ck_assert_str_eq(cfg.consume.items[0], "a");
	ck_assert_str_eq(cfg.consume.items[1], "b c");
	ck_assert_str_eq(cfg.consume.items[2], "d");
	ck_assert_int_eq(cfg.origin.count, 2);
	ck_assert_str_eq(cfg.origin.items[0], "http://a,b");
	setenv("REDISTRIBUTE_LEASE", "soon", 1);
	ck_assert_int_eq(rd_config_env(&cfg, &why), RD_ECONFIG);
	ck_buf_has(&why, "REDISTRIBUTE_LEASE: expected a time");
	teardown();
}
END_TEST

/* What a supervisor exports is what its child loads. */
START_TEST(test_export)
{
	struct rd_config parent;

	setup();
	ck_load("--workers=3", "--insecure", "--lease=1500ms", "--consume",
		"a,b", "--consume", "{c} d", "--max-header=1500",
		"--targets=redis://:s3cret@h", "--handler", "exec:x 'y'");
	parent = cfg;
	setenv("REDISTRIBUTE_CONFIG", "/nowhere", 1);
	setenv("REDISTRIBUTE_ORIGIN", "http://left.over", 1);
	rd_config_export(&parent);
	ck_assert_ptr_null(getenv("REDISTRIBUTE_CONFIG"));
	ck_assert_str_eq(getenv("REDISTRIBUTE_CONSUME"), "a,b\n{c} d\n");
	rd_config_init(&cfg);
	ck_load("word");
	ck_assert_int_eq(cfg.origin.count, 0);
	rd_config_diff(&parent, &cfg, never, NULL);
	rd_config_fini(&parent);
	teardown();
}
END_TEST

static void note(void *arg, const char *name)
{
	rd_buf_addf(arg, "%s ", name);
}

START_TEST(test_diff)
{
	struct rd_buf names = RD_BUF_INIT;
	struct rd_config other;

	setup();
	rd_config_init(&other);
	ck_load("--workers=3", "--insecure", "--consume=a", "--team=t");
	rd_config_diff(&cfg, &other, note, &names);
	ck_assert_str_eq(rd_buf_text(&names), "workers insecure team consume ");
	rd_buf_fini(&names);
	rd_config_fini(&other);
	teardown();
}
END_TEST

START_TEST(test_dump)
{
	struct rd_buf out = RD_BUF_INIT;
	struct rd_config again;
	const char *path;

	setup();
	ck_load("--targets=rediss://bob:hunter2@h:1", "--consume=a",
		"--consume=b", "--lease=90s");
	rd_config_dump(&cfg, &out);
	ck_buf_has(&out, "targets = rediss://bob:***@h:1\n");
	ck_buf_has(&out, "consume = a\nconsume = b\n");
	ck_buf_has(&out, "origin =\n");
	ck_buf_has(&out, "lease = 90s\n");
	ck_buf_has(&out, "max-message = 64k\n");
	ck_buf_has(&out, "insecure = no\n");
	ck_assert_ptr_null(strstr(rd_buf_text(&out), "hunter2"));
	/* A dump is a file. */
	rd_buf_adds(&out, "\n[team a]\nconsume = x\nbatch = 5\n\n[team b]\n");
	path = file(rd_buf_text(&out));
	rd_config_init(&again);
	ck_assert_msg(rd_config_file(&again, path, &why) == RD_OK, "%s",
		      rd_buf_text(&why));
	free(again.targets);
	again.targets = strdup(cfg.targets);
	rd_config_diff(&cfg, &again, never, NULL);
	rd_buf_clear(&out);
	rd_config_dump(&again, &out);
	ck_buf_has(&out, "\n[team a]\nconsume = x\nbatch = 5\n\n[team b]\n");
	rd_config_fini(&again);
	free(cfg.targets);
	cfg.targets = strdup("redis://:hunter2@h:x");
	rd_buf_clear(&out);
	rd_config_dump(&cfg, &out);
	ck_buf_has(&out, "targets = (malformed)\n");
	rd_buf_fini(&out);
	teardown();
	unlink(path);
}
END_TEST

START_TEST(test_rules)
{
	static const struct {
		const char *flags[4];
		const char *words; /* NULL: allowed */
	} cases[] = {
	    {{"--prefix=a:b"}, "prefix: expected 1 to 64"},
	    {{"--prefix="}, "prefix: expected"},
	    {{"--team=a b"}, "team: expected"},
	    {{"--node=\xc3\xbc"}, "node: expected"},
	    {{"--consume=a", "--consume={b"}, "found \"{b\""},
	    {{"--consume=a\nb"}, "consume: expected a channel name"},
	    {{"--consume=room:*", "--consume=[a-c]?"}, NULL},
	    {{"--consume=a[b"}, "or a pattern"},
	    {{"--consume=*\x7f"}, "or a pattern"},
	    {{"--targets=host:1"}, NULL},
	    {{"--targets=redis://:a,b@host:1"}, NULL},
	    {{"--targets=host:x"}, "targets: expected a port"},
	    {{"--targets=a:1,b:2"}, "several targets"},
	    {{"--targets=redis://a:1,redis://b:2"}, "not supported yet"},
	    {{"--targets=unix:///a,unix:///b"}, "several targets"},
	    {{"--targets=redis+sentinel://a/m"}, "Sentinel is not supported"},
	    {{"--cert=c"}, "cert is given without key"},
	    {{"--key=k"}, "key is given without cert"},
	    {{"--host=0.0.0.0"}, "without a certificate everybody"},
	    {{"--host=example.org"}, "insecure"},
	    {{"--host=0.0.0.0", "--insecure"}, NULL},
	    {{"--host=::", "--cert=c", "--key=k"}, NULL},
	    {{"--host=127.0.0.2"}, NULL},
	    {{"--host=::1"}, NULL},
	    {{"--host=localhost"}, NULL},
	    {{"--host="}, "host: expected an address"},
	    {{"--ops-host=0.0.0.0"}, "ops-host: 0.0.0.0 can be reached"},
	    {{"--ops-host=0.0.0.0", "--cert=c", "--key=k"}, "ops-host"},
	    {{"--ops-host=0.0.0.0", "--insecure"}, "ops-host: 0.0.0.0 can"},
	    {{"--ops-host=0.0.0.0", "--ops-token-file=/dev/null",
	      "--ops-cert=c", "--ops-cert-key=k"},
	     NULL},
	    {{"--ops-host=0.0.0.0", "--ops-port=0"}, NULL},
	    {{"--ops-port=8079", "--gateways=2"}, "port: 8080 is one of"},
	    {{"--ops-port=65535", "--gateways=2"}, "beyond 65535"},
	    {{"--ops-port=8080", "--gateways=0"}, NULL},
	    {{"--retry-delay=2m"}, "longer than retry-limit"},
	    {{"--retry-delay=1m"}, NULL},
	    {{"--maxlen=500", "--backlog-limit=599"}, "above maxlen, 500"},
	    {{"--maxlen=500", "--backlog-limit=600"}, NULL},
	    {{"--maxlen=2000000"}, "backlog-limit: 1000000"},
	    {{"--watchdog=0"}, NULL},
	    {{"--watchdog=1s"}, NULL},
	    {{"--watchdog=999ms"}, "watchdog: expected 0 or at least 1s"},
	    {{"--maxlen=2000000", "--backlog-limit=0"}, NULL},
	    {{"--origin=*"}, NULL},
	    {{"--origin=https://a.example:8443"}, NULL},
	    {{"--origin=http://[::1]:80"}, NULL},
	    {{"--origin=a.example"}, "origin: expected scheme://host"},
	    {{"--origin=https://"}, "found \"https://\""},
	    {{"--origin=https://a/"}, "origin"},
	    {{"--origin=https://a:"}, "origin"},
	    {{"--origin=https://a:x"}, "origin"},
	    {{"--origin=https://[::1"}, "origin"},
	    {{"--pages=/nowhere"}, "pages: expected a directory"},
	    {{"--pages=/dev/null"}, "pages: expected a directory"},
	    {{"--pages=/tmp"}, NULL},
	    {{"--pages-policy="}, NULL},
	    {{"--pages-policy=default-src *"}, NULL},
	    {{"--pages-policy=a\r\nb: c"}, "pages-policy: expected"},
	    {{"--handler="}, "handler: expected"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int err;

		setup();
		err = load(cases[i].flags);
		ck_assert_msg(err == (cases[i].words ? RD_ECONFIG : RD_OK),
			      "%s: %s", cases[i].flags[0], rd_buf_text(&why));
		if (cases[i].words != NULL)
			ck_buf_has(&why, cases[i].words);
		teardown();
	}
}
END_TEST

START_TEST(test_help)
{
	struct rd_buf out = RD_BUF_INIT;
	char *save = NULL;

	rd_config_help(&out);
	ck_buf_has(&out, "\nGateway:\n");
	ck_buf_has(&out, "  --workers N               worker processes");
	ck_buf_has(&out, "--config FILE");
	ck_buf_has(&out, "(default 25s)");
	ck_buf_has(&out, "(default 64k)");
	ck_buf_has(&out, "text|json");
	for (char *l =
		 strtok_r((char *)(uintptr_t)rd_buf_text(&out), "\n", &save);
	     l != NULL; l = strtok_r(NULL, "\n", &save)) {
		ck_assert_msg(strlen(l) <= 80, "too long: %s", l);
		ck_assert_msg(l[strlen(l) - 1] != ' ', "blank behind: %s", l);
	}
	rd_buf_fini(&out);
}
END_TEST

START_TEST(test_resolve)
{
	setup();
	rd_config_resolve(&cfg);
	ck_assert_int_eq(cfg.data_dir[0], '/');
	if (geteuid() == 0)
		ck_assert_str_eq(cfg.data_dir, "/var/lib/redistribute");
	ck_load("--data-dir=here");
	rd_config_resolve(&cfg);
	ck_assert_str_eq(cfg.data_dir, "here");
	teardown();
}
END_TEST

UNIT_MAIN("config", test_defaults, test_precedence, test_config_by_environment,
	  test_flags, test_one_flag, test_bad_flags, test_file, test_sections,
	  test_sections_alone, test_bad_sections, test_bad_files,
	  test_environment, test_export, test_diff, test_dump, test_rules,
	  test_help, test_resolve)
