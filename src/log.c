/* SPDX-License-Identifier: MIT */
/*
 * log.c -- one line per event; see log.h.
 *
 * The format's blanks are replaced by a separator, the whole is printed once,
 * and then cut at the separators.  That is how the fields stay apart whatever
 * the values hold, in text and in JSON alike.  The separator is made of random
 * bytes, so that nobody outside can put it into a value and forge a field.
 */
#include "src/log.h"
#include "src/buf.h"
#include "src/log_out.h"
#include "src/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define SEPARATOR_LEN  8    /* bytes */
#define LINE_MAX_BYTES 4096 /* longer values are cut */
#define END_MS         200  /* for what waits, when the process ends */

static const char *const names[] = {"debug", "info", "warn", "error"};
static const int priorities[] = {7, 6, 4, 3}; /* syslog(3) */

static struct {
	const char *role;        /* borrowed for ever */
	enum rd_log_level level; /* lower ones are dropped */
	bool json;
	bool journal; /* stderr goes to the systemd journal */
} log_state = {"redistribute", RD_LOG_INFO, false, false};

/* systemd tells device and inode of the stream that it reads. */
static bool is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return text != NULL && sscanf(text, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
	       st.st_ino == ino;
}

void rd_log_init(const char *role, bool json, enum rd_log_level level)
{
	log_state.role = role;
	log_state.json = json;
	log_state.level = level;
	log_state.journal = is_journal();
	rd_log_out_open();
}

bool rd_log_wants(enum rd_log_level level)
{
	return level >= log_state.level;
}

int rd_log_level_parse(const char *name, enum rd_log_level *level_out)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(names[i], name)) {
			*level_out = (enum rd_log_level)i;
			return RD_OK;
		}
	return RD_EINVAL;
}

/* Random bytes of 0x80 and up: neither NUL, blank nor a format's %. */
static const char *separator(void)
{
	static char bytes[SEPARATOR_LEN + 1];

	if (bytes[0] == '\0') {
		if (getrandom(bytes, SEPARATOR_LEN, 0) != SEPARATOR_LEN)
			abort();
		for (int i = 0; i < SEPARATOR_LEN; i++)
			bytes[i] = (char)(bytes[i] | 0x80);
	}
	return bytes;
}

/* Takes the character at s[*at].  False: it must not stand in a line as it is.
 * Where s is not UTF-8, what is not ASCII is taken byte by byte. */
static bool take_harmless(struct rd_slice s, bool utf8, size_t *at,
			  uint32_t *code_out)
{
	uint32_t c;

	if (utf8)
		c = rd_utf8_take(s, at);
	else
		c = (unsigned char)s.data[(*at)++];
	*code_out = c;
	return c >= 0x20 && c != 0x7f && (utf8 || c < 0x80) &&
	       !rd_utf8_is_sly(c);
}

static void add_quoted(struct rd_buf *line, struct rd_slice s)
{
	bool utf8 = rd_utf8_valid(s);
	size_t at = 0, from;
	uint32_t c;

	rd_buf_addc(line, '"');
	while (from = at, at < s.len) {
		if (take_harmless(s, utf8, &at, &c)) {
			if (c == '"' || c == '\\')
				rd_buf_addc(line, '\\');
			rd_buf_add(line, s.data + from, at - from);
		} else if (log_state.json) {
			rd_buf_addf(line, "\\u%04x", c);
		} else {
			for (; from < at; from++)
				rd_buf_addf(line, "\\x%02x",
					    (unsigned char)s.data[from]);
		}
	}
	rd_buf_addc(line, '"');
}

static bool is_plain(struct rd_slice s)
{
	bool utf8 = rd_utf8_valid(s);
	size_t at = 0;
	uint32_t c;

	while (at < s.len)
		if (!take_harmless(s, utf8, &at, &c) || c == ' ' || c == '"' ||
		    c == '\\' || c == '=')
			return false;
	return s.len > 0;
}

static void add_field(struct rd_buf *line, const char *key, size_t key_len,
		      struct rd_slice value)
{
	if (log_state.json) {
		rd_buf_adds(line, ",");
		add_quoted(line, (struct rd_slice){key, key_len});
		rd_buf_addc(line, ':');
		add_quoted(line, value);
		return;
	}
	rd_buf_addf(line, " %.*s=", (int)key_len, key);
	if (is_plain(value))
		rd_buf_addslice(line, value);
	else
		add_quoted(line, value);
}

static void add_start(struct rd_buf *line, enum rd_log_level level)
{
	struct timespec ts;
	struct tm tm;
	char when[32];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	if (log_state.json)
		rd_buf_addf(line,
			    "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\","
			    "\"role\":\"%s\",\"pid\":%d",
			    when, ts.tv_nsec / 1000000, names[level],
			    log_state.role, (int)getpid());
	else if (log_state.journal)
		rd_buf_addf(line, "<%d>%s[%d]", priorities[level],
			    log_state.role, (int)getpid());
	else
		rd_buf_addf(line, "%s.%03ldZ %s %s[%d]", when,
			    ts.tv_nsec / 1000000, names[level], log_state.role,
			    (int)getpid());
}

static void add_fields(struct rd_buf *line, char *text)
{
	char *next;

	for (char *f = text; f != NULL; f = next) {
		char *eq = strchr(f, '=');

		next = strstr(f, separator());
		if (next != NULL) {
			*next = '\0';
			next += SEPARATOR_LEN;
		}
		if (eq != NULL && (next == NULL || eq < next))
			add_field(line, f, (size_t)(eq - f),
				  rd_slice_str(eq + 1));
	}
}

/* The format with its blanks replaced; what does not fit is left out. */
static void make_pattern(const char *fmt, char *out, size_t size)
{
	size_t n = 0;

	for (; *fmt != '\0' && n + SEPARATOR_LEN < size; fmt++) {
		if (*fmt != ' ') {
			out[n++] = *fmt;
			continue;
		}
		memcpy(out + n, separator(), SEPARATOR_LEN);
		n += SEPARATOR_LEN;
	}
	out[n] = '\0';
}

static void vprint(enum rd_log_level level, const char *event, const char *fmt,
		   va_list ap)
{
	struct rd_buf line = RD_BUF_INIT;
	char pattern[1024], text[LINE_MAX_BYTES];

	make_pattern(fmt, pattern, sizeof(pattern));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (vsnprintf(text, sizeof(text), pattern, ap) < 0)
		text[0] = '\0';
#pragma GCC diagnostic pop
	add_start(&line, level);
	add_field(&line, "event", 5, rd_slice_str(event));
	add_fields(&line, text);
	rd_buf_adds(&line, log_state.json ? "}\n" : "\n");
	/* In one piece, so that lines of several processes do not mix. */
	rd_log_out_write(rd_buf_slice(&line));
	rd_buf_fini(&line);
}

RD_PRINTF(3, 4)
static void print(enum rd_log_level level, const char *event, const char *fmt,
		  ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(level, event, fmt, ap);
	va_end(ap);
}

/* As soon as there is room. */
static void say_dropped(void)
{
	uint64_t n = rd_log_out_untold();

	if (n > 0)
		print(RD_LOG_WARN, "log.dropped", "lines=%" PRIu64 " why=%s", n,
		      "nobody read the log");
}

void rd_log(enum rd_log_level level, const char *event, const char *fmt, ...)
{
	va_list ap;

	if (!rd_log_wants(level))
		return;
	say_dropped();
	va_start(ap, fmt);
	vprint(level, event, fmt, ap);
	va_end(ap);
}

void rd_log_limit(uint64_t bytes)
{
	rd_log_out_limit(bytes);
}

uint64_t rd_log_dropped(void)
{
	return rd_log_out_dropped();
}

bool rd_log_flush(void)
{
	say_dropped();
	return rd_log_out_flush();
}

void rd_log_end(void)
{
	say_dropped();
	rd_log_out_end(END_MS);
}
