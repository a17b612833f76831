/* SPDX-License-Identifier: MIT */
/*
 * audit.c -- the handler `audit`: a line of JSON for each message, for ever.
 *
 *	--handler audit[:file=PATH]
 *
 *	{"time":1700000000123,"channel":"orders","id":"1700000000000-0",
 *	 "deliveries":1,"type":"T","from":"alice","key":"k","data":{...}}
 *
 * With a file, lines are appended and on disk (fsync) before their messages are
 * acknowledged, a batch at once: none is lost, and after a crash one may stand
 * twice, with the same channel and id.  Any number of workers may write to one
 * file.  One that was moved away (logrotate) is opened anew.  Without a file,
 * lines go to the worker's log, which drops what nobody reads.
 */
#include <redistribute/handler.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct audit {
	char *path; /* owned; NULL: the log */
	int fd;     /* -1: not open */
	bool torn;  /* the last line in the file has no end */
	char *text; /* owned: lines; len of cap bytes */
	size_t len, cap;
};

static void add(struct audit *a, const char *bytes, size_t len)
{
	if (a->cap - a->len < len) {
		a->cap = a->cap * 2 + len;
		a->text = realloc(a->text, a->cap);
		if (a->text == NULL)
			abort();
	}
	if (len > 0)
		memcpy(a->text + a->len, bytes, len);
	a->len += len;
}

static void add_text(struct audit *a, const char *text)
{
	add(a, text, strlen(text));
}

/* A string of JSON; s is UTF-8, as channels, types and the like are. */
static void add_string(struct audit *a, const char *name, struct rd_slice s)
{
	char escaped[8];

	add_text(a, ",\"");
	add_text(a, name);
	add_text(a, "\":\"");
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c < 0x20)
			snprintf(escaped, sizeof(escaped), "\\u%04x", c);
		else if (c == '"' || c == '\\')
			snprintf(escaped, sizeof(escaped), "\\%c", c);
		if (c < 0x20 || c == '"' || c == '\\')
			add_text(a, escaped);
		else
			add(a, s.data + i, 1);
	}
	add_text(a, "\"");
}

static void add_payload(struct audit *a, struct rd_context *ctx)
{
	struct rd_slice json;
	const char *form = rd_payload_json(ctx, &json);

	add_text(a, ",\"");
	add_text(a, form);
	add_text(a, "\":");
	add(a, json.data, json.len);
}

static void add_line(struct audit *a, struct rd_context *ctx,
		     const struct rd_delivery *d)
{
	const struct rd_message *m = d->message;
	struct timespec now;
	char text[120], id[RD_ID_TEXT];

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(text, sizeof(text), "{\"time\":%lld",
		 (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	add_text(a, text);
	add_string(a, "channel", d->channel);
	snprintf(text, sizeof(text), ",\"id\":\"%s\",\"deliveries\":%llu",
		 rd_id_text(m->id, id), (unsigned long long)d->deliveries);
	add_text(a, text);
	if (m->type.data != NULL)
		add_string(a, "type", m->type);
	if (m->from.data != NULL)
		add_string(a, "from", m->from);
	if (m->key.data != NULL)
		add_string(a, "key", m->key);
	add_payload(a, ctx);
	add_text(a, "}");
}

static int open_file(struct audit *a)
{
	a->fd = open(a->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	return a->fd < 0 ? RD_EIO : RD_OK;
}

/* Does the path still name the file that is open? */
static bool was_moved(const struct audit *a)
{
	struct stat there, ours;

	return stat(a->path, &there) != 0 || fstat(a->fd, &ours) != 0 ||
	       there.st_dev != ours.st_dev || there.st_ino != ours.st_ino;
}

static int write_all(struct audit *a, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(a->fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return RD_EIO;
		bytes += n;
		len -= (size_t)n;
		a->torn = bytes[-1] != '\n';
	}
	return RD_OK;
}

/* Appends the lines, and waits for the disk. */
static int store(struct audit *a)
{
	if (a->fd >= 0 && was_moved(a)) {
		close(a->fd);
		a->fd = -1;
		a->torn = false;
	}
	if (a->fd < 0 && open_file(a) != RD_OK)
		return RD_EIO;
	if (a->torn && write_all(a, "\n", 1) != RD_OK)
		return RD_EIO;
	if (write_all(a, a->text, a->len) != RD_OK || fdatasync(a->fd) != 0)
		return RD_EIO;
	return RD_OK;
}

static void audit_close(void *state)
{
	struct audit *a = state;

	if (a->fd >= 0)
		close(a->fd);
	free(a->path);
	free(a->text);
	free(a);
}

static int audit_open(const char *args, void **state_out, char *why,
		      size_t why_size)
{
	bool has_file = !strncmp(args, "file=", 5) && args[5] != '\0';
	struct audit *a;

	if (*args != '\0' && !has_file) {
		snprintf(why, why_size, "expected file=PATH, found \"%s\"",
			 args);
		return RD_ECONFIG;
	}
	a = calloc(1, sizeof(*a));
	if (a == NULL || (has_file && (a->path = strdup(args + 5)) == NULL))
		abort();
	a->fd = -1;
	if (has_file && open_file(a) != RD_OK) {
		snprintf(why, why_size, "%s: %s", a->path, strerror(errno));
		audit_close(a);
		return RD_ECONFIG;
	}
	*state_out = a;
	return RD_OK;
}

static int audit_batch(void *state, struct rd_context *ctx,
		       const struct rd_delivery *deliveries, size_t count)
{
	struct audit *a = state;

	a->len = 0;
	for (size_t i = 0; i < count; i++) {
		rd_pick(ctx, i);
		add_line(a, ctx, &deliveries[i]);
		if (a->path != NULL) {
			add_text(a, "\n");
			continue;
		}
		add(a, "", 1);
		rd_log_line(ctx, a->text);
		a->len = 0;
	}
	return a->path == NULL ? RD_OK : store(a);
}

extern const struct rd_handler rd_handler_audit;

const struct rd_handler rd_handler_audit = {
    .abi = RD_HANDLER_ABI,
    .size = sizeof(struct rd_handler),
    .name = "audit",
    .open = audit_open,
    .batch = audit_batch,
    .close = audit_close,
};
