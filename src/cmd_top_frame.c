/* SPDX-License-Identifier: MIT */
/*
 * cmd_top_frame.c -- what `redistribute top` shows: teams, workers, gateways.
 *
 * A member reports every two seconds, so its speed is the growth of a counter
 * over the time between two of its own reports, whenever we look.  Before there
 * are two, it is what the member says itself.
 *
 * Not here: the terminal, and when to look again (cmd_top.c).
 */
#include "src/cmd_top_impl.h"
#include "src/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define COUNT(columns) (sizeof(columns) / sizeof(*(columns)))
#define FEWEST         3 /* workers that are shown, however small the window */

struct rate {
	struct rd_map_node node; /* by id */
	uint64_t count;          /* at the latest report */
	uint64_t time_ms;        /* of that, by the member's own clock */
	uint64_t each_s;         /* growth each second */
	bool known;              /* each_s holds */
	uint64_t round;          /* of the latest census that saw it */
	char id[];
};

/* --- speeds -------------------------------------------------------------- */

void rd_rates_init(struct rd_rates *r)
{
	rd_map_init(&r->by_id);
	r->round = 0;
}

static void forget(struct rd_rates *r, bool all)
{
	struct rd_map_node *node = rd_map_next(&r->by_id, NULL);

	while (node != NULL) {
		struct rate *rate = rd_map_item(node, struct rate, node);

		node = rd_map_next(&r->by_id, node);
		if (!all && rate->round == r->round)
			continue;
		rd_map_remove(&r->by_id, &rate->node);
		free(rate);
	}
}

void rd_rates_fini(struct rd_rates *r)
{
	forget(r, true);
	rd_map_fini(&r->by_id);
}

static struct rate *rate_of(const struct rd_rates *r, const char *id)
{
	struct rd_map_node *node = rd_map_get(&r->by_id, rd_slice_str(id));

	return node == NULL ? NULL : rd_map_item(node, struct rate, node);
}

static const char *counter_of(const struct rd_member_row *m)
{
	return rd_member_is(m, "gateway") ? "published" : "handled";
}

static void note(struct rd_rates *r, const struct rd_member_row *m)
{
	uint64_t count = rd_member_number(m, counter_of(m));
	uint64_t time_ms = rd_member_number(m, "time_ms");
	struct rate *rate = rate_of(r, m->id);

	if (rate == NULL) {
		size_t len = strlen(m->id);

		rate = rd_zalloc(sizeof(*rate) + len + 1);
		memcpy(rate->id, m->id, len);
		rd_map_put(&r->by_id, &rate->node, rd_slice_str(rate->id));
	} else if (count < rate->count) {
		rate->known = false; /* it has started anew */
	} else if (time_ms > rate->time_ms) {
		rate->each_s =
		    (count - rate->count) * 1000 / (time_ms - rate->time_ms);
		rate->known = true;
	}
	rate->count = count;
	rate->time_ms = time_ms;
	rate->round = r->round;
}

void rd_rates_note(struct rd_rates *r, const struct rd_fleet *f)
{
	r->round++;
	for (size_t i = 0; i < f->member_count; i++)
		if (f->members[i].fields != NULL)
			note(r, &f->members[i]);
	forget(r, false);
}

static uint64_t speed(const struct rd_frame *frame,
		      const struct rd_member_row *m)
{
	const struct rate *rate = rate_of(frame->rates, m->id);

	if (rate != NULL && rate->known)
		return rate->each_s;
	return rd_member_number(m, "rate");
}

static uint64_t team_speed(const struct rd_frame *frame,
			   const struct rd_team_row *team)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < frame->fleet->member_count; i++)
		if (rd_member_serves(&frame->fleet->members[i], team))
			sum += speed(frame, &frame->fleet->members[i]);
	return sum;
}

/* --- tables -------------------------------------------------------------- */

static const struct rd_column team_columns[] = {
    {"TEAM", false, true},        {"WORKERS", true, false},
    {"RATE/s", true, false},      {"LAG", true, false},
    {"PENDING", true, false},     {"OLDEST", true, false, true},
    {"RETRY", true, false, true}, {"DEAD", true, false},
    {"PAUSED", false, true},
};

static const struct rd_column worker_columns[] = {
    {"WORKER", false, true},     {"TEAM", false, true},
    {"HOST", false, true, true}, {"STATE", false, false},
    {"HAND", true, false},       {"RATE/s", true, false},
    {"BUSY", true, false},       {"HANDLED", true, false, true},
    {"FAILED", true, false},
};

static const struct rd_column gateway_columns[] = {
    {"GATEWAY", false, true},        {"HOST", false, true, true},
    {"CLIENTS", true, false},        {"SUBSCRIPTIONS", true, false},
    {"CHANNELS", true, false, true}, {"PUBLISHED/s", true, false},
};

/* What the latest look at the channels found of it. */
static const struct rd_backlog *backlog_of(const struct rd_frame *frame,
					   const struct rd_team_row *team)
{
	static const struct rd_backlog none = {.oldest_ms = RD_FLEET_NEVER};
	const struct rd_team_row *found =
	    frame->backlogs == NULL
		? NULL
		: rd_fleet_find(frame->backlogs, team->name);

	return found == NULL ? &none : &found->backlog;
}

static void add_team(struct rd_table *t, const struct rd_frame *frame,
		     const struct rd_team_row *team)
{
	const struct rd_backlog *b = backlog_of(frame, team);
	const struct rd_fleet *f = frame->fleet;

	rd_table_add_text(t, team->name);
	rd_table_add_count(t, rd_team_alive(team, f->now_ms));
	rd_table_add_count(t, team_speed(frame, team));
	rd_cli_add_lag(t, b);
	rd_table_add_count(t, b->pending);
	rd_cli_add_oldest(t, b, f->now_ms);
	rd_table_add_count(t, b->waiting + rd_fleet_sum(f, team, "retrying"));
	rd_table_add_count(t, team->dead);
	rd_cli_add_paused(&t->text, team);
	rd_table_end_cell(t);
}

/* What it says itself, else whether its team counts it among the living. */
static struct rd_slice state_of(const struct rd_fleet *f,
				const struct rd_member_row *m)
{
	struct rd_slice said = rd_member_field(m, "state");
	const struct rd_team_row *team =
	    rd_fleet_find(f, rd_member_field(m, "team"));

	if (said.len > 0)
		return said;
	return rd_slice_str(
	    team != NULL && rd_team_is_alive(
				team, rd_member_field(m, "consumer"), f->now_ms)
		? "live"
		: "away");
}

static void add_worker(struct rd_table *t, const struct rd_frame *frame,
		       const struct rd_member_row *m)
{
	rd_table_add_text(t, rd_slice_str(m->id));
	rd_table_add_text(t, rd_member_field(m, "team"));
	rd_table_add_text(t, rd_member_field(m, "host"));
	rd_table_add_text(t, state_of(frame->fleet, m));
	rd_table_add_count(t, rd_member_number(m, "in_hand"));
	rd_table_add_count(t, speed(frame, m));
	if (rd_member_field(m, "busy_pct").data == NULL)
		rd_table_adds(t, "-");
	else {
		rd_show_count(&t->text, rd_member_number(m, "busy_pct"));
		rd_buf_addc(&t->text, '%');
		rd_table_end_cell(t);
	}
	rd_table_add_count(t, rd_member_number(m, "handled"));
	rd_table_add_count(t, rd_member_number(m, "failed"));
}

static void add_gateway(struct rd_table *t, const struct rd_frame *frame,
			const struct rd_member_row *m)
{
	rd_table_add_text(t, rd_slice_str(m->id));
	rd_table_add_text(t, rd_member_field(m, "host"));
	rd_table_add_count(t, rd_member_number(m, "connections"));
	rd_table_add_count(t, rd_member_number(m, "subscriptions"));
	rd_table_add_count(t, rd_member_number(m, "channels"));
	rd_table_add_count(t, speed(frame, m));
}

static size_t count_role(const struct rd_fleet *f, const char *role)
{
	size_t n = 0;

	for (size_t i = 0; i < f->member_count; i++)
		n += rd_member_is(&f->members[i], role);
	return n;
}

/* "12:30:59  ", the machine's time where we are. */
static void add_clock(struct rd_buf *out)
{
	time_t now = time(NULL);
	struct tm local;
	char text[16];

	if (localtime_r(&now, &local) != NULL &&
	    strftime(text, sizeof(text), "%H:%M:%S  ", &local) > 0)
		rd_buf_adds(out, text);
}

static void add_head(const struct rd_frame *frame, struct rd_buf *out)
{
	const struct rd_fleet *f = frame->fleet;

	add_clock(out);
	rd_buf_addf(out,
		    "teams %zu, workers %zu, gateways %zu, channels %" PRIu64,
		    f->team_count, count_role(f, "worker"),
		    count_role(f, "gateway"), f->channels);
	if (frame->backlogs != NULL &&
	    f->now_ms > frame->backlogs->now_ms + 2000) {
		rd_buf_adds(out, ", backlogs of ");
		rd_show_span(out, f->now_ms - frame->backlogs->now_ms);
		rd_buf_adds(out, " ago");
	}
	if (frame->trouble != NULL) {
		rd_buf_adds(out, ".  Redis: ");
		rd_show_text(out, rd_slice_str(frame->trouble));
	}
	rd_buf_addc(out, '\n');
	if (frame->height > 0)
		rd_buf_adds(out, "q leaves\n");
}

static void add_table(const struct rd_frame *frame, const struct rd_table *t,
		      size_t most, struct rd_buf *out)
{
	size_t rows = rd_table_rows(t);

	if (rows == 0)
		return;
	rd_buf_addc(out, '\n');
	rd_table_print(t, frame->width, most, out);
	if (rows > most)
		rd_buf_addf(out, "and %zu more\n", rows - most);
}

/* How many workers there is room for. */
static size_t most_workers(const struct rd_frame *frame, size_t teams,
			   size_t gateways)
{
	size_t others = 2 + (teams > 0 ? teams + 2 : 0) +
			(gateways > 0 ? gateways + 2 : 0) + 3;

	if (frame->height == 0)
		return SIZE_MAX;
	return frame->height > others + FEWEST ? frame->height - others
					       : FEWEST;
}

void rd_frame_add(const struct rd_frame *frame, struct rd_buf *out)
{
	const struct rd_fleet *f = frame->fleet;
	struct rd_table teams = {.columns = team_columns,
				 .count = COUNT(team_columns)};
	struct rd_table workers = {.columns = worker_columns,
				   .count = COUNT(worker_columns)};
	struct rd_table gateways = {.columns = gateway_columns,
				    .count = COUNT(gateway_columns)};
	size_t most;

	for (size_t i = 0; i < f->team_count; i++)
		add_team(&teams, frame, f->teams[i]);
	for (size_t i = 0; i < f->member_count; i++) {
		if (rd_member_is(&f->members[i], "worker"))
			add_worker(&workers, frame, &f->members[i]);
		else if (rd_member_is(&f->members[i], "gateway"))
			add_gateway(&gateways, frame, &f->members[i]);
	}
	most = most_workers(frame, rd_table_rows(&teams),
			    rd_table_rows(&gateways));
	add_head(frame, out);
	add_table(frame, &teams, SIZE_MAX, out);
	add_table(frame, &workers, most, out);
	add_table(frame, &gateways, SIZE_MAX, out);
	rd_table_fini(&teams);
	rd_table_fini(&workers);
	rd_table_fini(&gateways);
}

/* --- JSON ---------------------------------------------------------------- */

static void add_member_json(const struct rd_frame *frame,
			    const struct rd_member_row *m, struct rd_buf *out)
{
	rd_buf_adds(out, "{\"id\":");
	rd_show_json(out, rd_slice_str(m->id));
	rd_buf_adds(out, ",\"role\":");
	rd_show_json(out, rd_member_field(m, "role"));
	rd_buf_adds(out, ",\"host\":");
	rd_show_json(out, rd_member_field(m, "host"));
	if (rd_member_is(m, "worker")) {
		rd_buf_adds(out, ",\"team\":");
		rd_show_json(out, rd_member_field(m, "team"));
		rd_buf_adds(out, ",\"state\":");
		rd_show_json(out, state_of(frame->fleet, m));
		rd_buf_addf(out,
			    ",\"in_hand\":%" PRIu64 ",\"busy_pct\":%" PRIu64
			    ",\"handled\":%" PRIu64 ",\"failed\":%" PRIu64,
			    rd_member_number(m, "in_hand"),
			    rd_member_number(m, "busy_pct"),
			    rd_member_number(m, "handled"),
			    rd_member_number(m, "failed"));
	} else {
		rd_buf_addf(out,
			    ",\"connections\":%" PRIu64
			    ",\"subscriptions\":%" PRIu64,
			    rd_member_number(m, "connections"),
			    rd_member_number(m, "subscriptions"));
	}
	rd_buf_addf(out, ",\"rate\":%" PRIu64 "}", speed(frame, m));
}

void rd_frame_add_json(const struct rd_frame *frame, struct rd_buf *out)
{
	const struct rd_fleet *f = frame->fleet;
	bool any = false;

	rd_buf_addf(out,
		    "{\"time_ms\":%" PRIu64 ",\"channels\":%" PRIu64
		    ",\"teams\":[",
		    f->now_ms, f->channels);
	for (size_t i = 0; i < f->team_count; i++) {
		const struct rd_team_row *team = f->teams[i];
		struct rd_team_row both = *team;

		both.backlog = *backlog_of(frame, team);
		rd_buf_adds(out, i > 0 ? ",{" : "{");
		rd_cli_team_json(f, &both, out);
		rd_buf_addf(out, ",\"rate\":%" PRIu64 "}",
			    team_speed(frame, team));
	}
	rd_buf_adds(out, "],\"members\":[");
	for (size_t i = 0; i < f->member_count; i++) {
		if (!rd_member_is(&f->members[i], "worker") &&
		    !rd_member_is(&f->members[i], "gateway"))
			continue;
		if (any)
			rd_buf_addc(out, ',');
		any = true;
		add_member_json(frame, &f->members[i], out);
	}
	rd_buf_adds(out, "]}\n");
}
