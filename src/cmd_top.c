/* SPDX-License-Identifier: MIT */
/*
 * cmd_top.c -- `redistribute top`: who does what now, again and again.
 *
 * Members and teams are asked for at each interval.  Channels are looked at
 * too, unless there are so many that this would take more than a tenth of the
 * time; then their numbers are older than the rest, and the first line says so.
 *
 * In a terminal it takes the alternate screen and reads keys one by one;
 * signals come as keys, too, so that nothing can stop it before the terminal
 * is as it was.  Elsewhere it prints one frame behind the other.
 */
#include "src/cmd_top_impl.h"
#include "src/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define SHARE     10 /* channels are looked at for one part of so many */
#define LEAST_MS  100
#define MOST_MS   3600000
#define ANSWER_MS 20000 /* for the first frame, and for --once */

struct top {
	struct rd_cli cli;
	struct rd_ask *ask;   /* owned */
	const char *interval; /* as given; NULL: a second */
	uint64_t interval_ms;
	bool once;
	bool json;
	bool screen; /* stdout and stdin are a terminal, and taken */

	struct rd_census *running;  /* owned; NULL: none */
	struct rd_census *shown;    /* owned: the latest; may be `backlogs` */
	struct rd_census *backlogs; /* owned: the latest with channels */
	bool with_channels;         /* the running one has them */
	uint64_t counted_ms;        /* our clock: when backlogs were in */
	struct rd_rates rates;
	char trouble[256]; /* why there was no answer; "": there was */

	struct termios before; /* what the terminal was */
	struct rd_watch keys;
	struct rd_signal resize;
	struct rd_signal stops[3];
	struct rd_timer tick;
	bool answered; /* a first frame was shown, or failed */
	bool over;
	int status; /* of the program */
	struct rd_buf out;
};

static void end(struct top *t, int status)
{
	t->over = true;
	t->status = status;
}

/* --- a frame ------------------------------------------------------------- */

/* As the terminal wants it: each line is cleared behind its end, and no line
 * goes beyond the last. */
static void add_to_screen(const struct rd_buf *frame, size_t height,
			  struct rd_buf *out)
{
	struct rd_slice s = rd_buf_slice(frame);
	size_t line = 0;

	rd_buf_adds(out, "\033[H");
	for (size_t i = 0; i < s.len && line < height; i++) {
		if (s.data[i] != '\n') {
			rd_buf_addc(out, s.data[i]);
			continue;
		}
		rd_buf_adds(out, ++line < height ? "\033[K\r\n" : "\033[K");
	}
	if (line < height)
		rd_buf_adds(out, "\033[J");
}

static void show(struct top *t)
{
	struct rd_frame frame = {
	    .fleet = rd_census_fleet(t->shown),
	    .backlogs =
		t->backlogs == NULL ? NULL : rd_census_fleet(t->backlogs),
	    .rates = &t->rates,
	    .trouble = t->trouble[0] == '\0' ? NULL : t->trouble,
	    .width = rd_cli_width(),
	};
	struct rd_buf text = RD_BUF_INIT;
	struct winsize size;

	if (t->screen && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
	    size.ws_row > 0)
		frame.height = size.ws_row;
	if (t->json)
		rd_frame_add_json(&frame, &t->out);
	else if (t->screen) {
		rd_frame_add(&frame, &text);
		add_to_screen(&text, frame.height > 0 ? frame.height : 24,
			      &t->out);
	} else {
		rd_frame_add(&frame, &t->out);
		if (!t->once)
			rd_buf_addc(&t->out, '\n');
	}
	rd_buf_fini(&text);
	if (rd_cli_print(&t->out) != RD_EXIT_OK)
		end(t, RD_EXIT_FAILED);
	else if (t->once)
		end(t, RD_EXIT_OK);
}

/* --- counting ------------------------------------------------------------ */

static void note_trouble(struct top *t, int err, const char *why)
{
	snprintf(t->trouble, sizeof(t->trouble), "%s", why);
	if (t->once)
		end(t, rd_cli_fail(err == RD_EREDIS ? RD_EXIT_FAILED
						    : RD_EXIT_UNAVAILABLE,
				   "%s", why));
	else if (t->screen && t->shown != NULL)
		show(t);
	else if (!t->screen)
		rd_cli_fail(0, "%s", why);
}

/* Takes the census over as what is shown. */
static void adopt(struct top *t, struct rd_census *census)
{
	if (t->shown != t->backlogs)
		rd_census_free(&t->shown);
	if (t->with_channels) {
		rd_census_free(&t->backlogs);
		t->backlogs = census;
		t->counted_ms = rd_clock_ms();
	}
	t->shown = census;
}

static void on_counted(void *arg, int err, const char *why)
{
	struct top *t = arg;
	struct rd_census *census = t->running;

	t->running = NULL;
	t->answered = true;
	rd_timer_start(&t->tick, t->interval_ms);
	if (err != RD_OK) {
		rd_census_free(&census);
		note_trouble(t, err, why);
		return;
	}
	t->trouble[0] = '\0';
	adopt(t, census);
	rd_rates_note(&t->rates, rd_census_fleet(census));
	show(t);
}

static void on_tick(void *arg)
{
	static const struct rd_census_ops ops = {.done = on_counted};
	struct top *t = arg;
	int err;

	if (t->running != NULL)
		return;
	t->with_channels =
	    t->backlogs == NULL ||
	    rd_clock_ms() - t->counted_ms >=
		(SHARE - 1) * rd_census_fleet(t->backlogs)->last_ms;
	err = rd_census_start(rd_ask_link(t->ask), t->cli.cfg.prefix,
			      t->with_channels, &ops, t, &t->running);
	if (err == RD_OK)
		return;
	t->running = NULL;
	rd_timer_start(&t->tick, t->interval_ms);
	note_trouble(t, err, rd_strerror(err));
}

/* --- the terminal -------------------------------------------------------- */

static void on_key(void *arg, short what)
{
	struct top *t = arg;
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	(void)what;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		end(t, RD_EXIT_OK);
	for (ssize_t i = 0; i < n; i++)
		if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == 3)
			end(t, RD_EXIT_OK);
}

static void on_resize(void *arg, int signo)
{
	struct top *t = arg;

	(void)signo;
	if (t->shown != NULL)
		show(t);
}

static void on_stop(void *arg, int signo)
{
	(void)signo;
	end(arg, RD_EXIT_OK);
}

static void take_screen(struct top *t)
{
	static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
	struct rd_loop *loop = rd_ask_loop(t->ask);
	struct termios raw;

	if (t->once || t->json || !isatty(STDOUT_FILENO) ||
	    tcgetattr(STDIN_FILENO, &t->before) != 0)
		return;
	t->screen = true;
	raw = t->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	rd_buf_adds(&t->out, "\033[?1049h\033[?25l\033[2J");
	rd_watch_init(&t->keys, loop, STDIN_FILENO, on_key, t);
	rd_watch_set(&t->keys, EV_READ);
	rd_signal_start(&t->resize, loop, SIGWINCH, on_resize, t);
	for (size_t i = 0; i < 3; i++)
		rd_signal_start(&t->stops[i], loop, stops[i], on_stop, t);
}

static void give_screen_back(struct top *t)
{
	if (!t->screen)
		return;
	rd_watch_stop(&t->keys);
	rd_signal_stop(&t->resize);
	for (size_t i = 0; i < 3; i++)
		rd_signal_stop(&t->stops[i]);
	rd_buf_clear(&t->out);
	rd_buf_adds(&t->out, "\033[?25h\033[?1049l");
	(void)rd_cli_print(&t->out);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &t->before);
}

/* --- all of it ----------------------------------------------------------- */

/* "500ms", "2s", "1m". */
static bool read_interval(struct top *t)
{
	char *unit;
	unsigned long long n = strtoull(t->interval, &unit, 10);
	uint64_t each = !strcmp(unit, "s")    ? 1000
			: !strcmp(unit, "ms") ? 1
			: !strcmp(unit, "m")  ? 60000
					      : 0;

	if (t->interval[0] < '0' || t->interval[0] > '9' || n > MOST_MS)
		return false;
	t->interval_ms = n * each;
	return t->interval_ms >= LEAST_MS && t->interval_ms <= MOST_MS;
}

static void run(struct top *t)
{
	rd_timer_init(&t->tick, rd_ask_loop(t->ask), on_tick, t);
	take_screen(t);
	on_tick(t);
	if (t->once && rd_ask_wait(t->ask, &t->answered, ANSWER_MS) != RD_OK)
		end(t, rd_cli_fail(RD_EXIT_UNAVAILABLE, "%s",
				   rd_strerror(RD_ETIMEOUT)));
	while (!t->over && rd_loop_turn(rd_ask_loop(t->ask)))
		;
	rd_timer_stop(&t->tick);
	give_screen_back(t);
}

static int work(struct top *t, const struct rd_verb *verb)
{
	int status;

	if (t->cli.count > 0)
		return rd_cli_misuse(verb, "%s: expected flags only",
				     t->cli.words[0]);
	if (t->interval != NULL && !read_interval(t))
		return rd_cli_misuse(verb,
				     "--interval: expected a time such as "
				     "500ms or 2s, found %s",
				     t->interval);
	if (rd_cli_ask(&t->cli, &t->ask, &status) != RD_OK)
		return status;
	run(t);
	return t->status;
}

int rd_cmd_top(const struct rd_verb *verb, int argc, char **argv)
{
	struct top t = {.interval_ms = 1000};
	const struct rd_flag flags[] = {
	    {"--interval", "TIME", "between two frames (1s)", NULL,
	     &t.interval},
	    {"--once", NULL, "one frame, then end", &t.once, NULL},
	    {"--json", NULL, "each frame as a line of JSON", &t.json, NULL},
	    {0},
	};
	int status;

	rd_rates_init(&t.rates);
	if (rd_cli_open(&t.cli, verb, flags, argc, argv, &status) == RD_OK)
		status = work(&t, verb);
	rd_ask_close(&t.ask);
	rd_census_free(&t.running);
	if (t.shown != t.backlogs)
		rd_census_free(&t.shown);
	rd_census_free(&t.backlogs);
	rd_rates_fini(&t.rates);
	rd_buf_fini(&t.out);
	rd_cli_close(&t.cli);
	return status;
}
