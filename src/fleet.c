/* SPDX-License-Identifier: MIT */
/*
 * fleet.c -- who is running, and how far each team is; see fleet.h.
 *
 * Everything here only looks at replies that were kept.  What stands in them
 * may have been written by anybody, so nothing is believed to be there: a
 * field that is missing, or is no number, counts as 0.
 *
 * Not here: asking Redis (census.c).
 */
#include "src/fleet.h"
#include "src/mem.h"

#include <stdlib.h>

void rd_fleet_init(struct rd_fleet *f)
{
	*f = (struct rd_fleet){0};
	rd_map_init(&f->by_name);
}

void rd_fleet_fini(struct rd_fleet *f)
{
	for (size_t i = 0; i < f->member_count; i++) {
		free(f->members[i].id);
		free(f->members[i].fields);
	}
	for (size_t i = 0; i < f->team_count; i++) {
		free(f->teams[i]->conf);
		free(f->teams[i]->beats);
		free(f->teams[i]);
	}
	free(f->members);
	free(f->teams);
	rd_map_fini(&f->by_name);
	rd_fleet_init(f);
}

struct rd_team_row *rd_fleet_find(const struct rd_fleet *f,
				  struct rd_slice name)
{
	struct rd_map_node *node = rd_map_get(&f->by_name, name);

	return node == NULL ? NULL
			    : rd_map_item(node, struct rd_team_row, node);
}

struct rd_team_row *rd_fleet_team(struct rd_fleet *f, struct rd_slice name)
{
	struct rd_team_row *team = rd_fleet_find(f, name);
	char *copy;

	if (team != NULL)
		return team;
	team = rd_zalloc(sizeof(*team) + name.len);
	copy = (char *)(team + 1);
	if (name.len > 0)
		memcpy(copy, name.data, name.len);
	team->name = (struct rd_slice){copy, name.len};
	rd_backlog_init(&team->backlog);
	rd_map_put(&f->by_name, &team->node, team->name);
	f->teams =
	    rd_realloc(f->teams, (f->team_count + 1) * sizeof(*f->teams));
	f->teams[f->team_count++] = team;
	return team;
}

static int compare_members(const void *a, const void *b)
{
	const struct rd_member_row *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static int compare_teams(const void *a, const void *b)
{
	struct rd_slice x = (*(struct rd_team_row *const *)a)->name;
	struct rd_slice y = (*(struct rd_team_row *const *)b)->name;
	int order = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);

	return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

void rd_fleet_sort(struct rd_fleet *f)
{
	if (f->member_count > 0)
		qsort(f->members, f->member_count, sizeof(*f->members),
		      compare_members);
	if (f->team_count > 0)
		qsort(f->teams, f->team_count, sizeof(*f->teams),
		      compare_teams);
}

/* --- members ------------------------------------------------------------- */

struct rd_slice rd_member_field(const struct rd_member_row *m, const char *name)
{
	return rd_reply_str(rd_reply_get(m->fields, name));
}

static uint64_t number(const struct rd_reply *r)
{
	int64_t n = rd_reply_int(r, 0);

	return n < 0 ? 0 : (uint64_t)n;
}

uint64_t rd_member_number(const struct rd_member_row *m, const char *name)
{
	return number(rd_reply_get(m->fields, name));
}

bool rd_member_is(const struct rd_member_row *m, const char *role)
{
	return rd_slice_is(rd_member_field(m, "role"), role);
}

bool rd_member_serves(const struct rd_member_row *m,
		      const struct rd_team_row *team)
{
	return rd_member_is(m, "worker") &&
	       rd_slice_eq(rd_member_field(m, "team"), team->name);
}

uint64_t rd_fleet_sum(const struct rd_fleet *f, const struct rd_team_row *team,
		      const char *field)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < f->member_count; i++)
		if (rd_member_serves(&f->members[i], team))
			sum += rd_member_number(&f->members[i], field);
	return sum;
}

/* --- teams --------------------------------------------------------------- */

uint64_t rd_score_ms(struct rd_slice score)
{
	double ms = score.data == NULL ? 0 : strtod(score.data, NULL);

	return ms > 0 && ms < 1e16 ? (uint64_t)ms : 0;
}

static uint64_t score_at(const struct rd_reply *beats, size_t i)
{
	return rd_score_ms(rd_reply_str(rd_reply_at(beats, i)));
}

size_t rd_team_alive(const struct rd_team_row *team, uint64_t now_ms)
{
	size_t alive = 0;

	for (size_t i = 0; rd_reply_at(team->beats, i + 1) != NULL; i += 2) {
		struct rd_slice name =
		    rd_reply_str(rd_reply_at(team->beats, i));

		if (name.len > 0 && name.data[0] != '=' &&
		    score_at(team->beats, i + 1) >= now_ms)
			alive++;
	}
	return alive;
}

bool rd_team_is_alive(const struct rd_team_row *team, struct rd_slice consumer,
		      uint64_t now_ms)
{
	for (size_t i = 0; rd_reply_at(team->beats, i + 1) != NULL; i += 2)
		if (rd_slice_eq(rd_reply_str(rd_reply_at(team->beats, i)),
				consumer))
			return score_at(team->beats, i + 1) >= now_ms;
	return false;
}

uint64_t rd_team_seen_ms(const struct rd_team_row *team)
{
	uint64_t seen = team->registered_ms;

	for (size_t i = 0; rd_reply_at(team->beats, i + 1) != NULL; i += 2)
		if (rd_slice_is(rd_reply_str(rd_reply_at(team->beats, i)),
				"=beat") &&
		    score_at(team->beats, i + 1) > seen)
			seen = score_at(team->beats, i + 1);
	return seen;
}

bool rd_team_paused(const struct rd_team_row *team, size_t *at,
		    struct rd_slice *what_out)
{
	static const char prefix[] = "pause:";
	size_t len = sizeof(prefix) - 1;

	while (rd_reply_at(team->conf, *at + 1) != NULL) {
		struct rd_slice name =
		    rd_reply_str(rd_reply_at(team->conf, *at));

		*at += 2;
		if (name.len <= len || memcmp(name.data, prefix, len) != 0)
			continue;
		*what_out = (struct rd_slice){name.data + len, name.len - len};
		return true;
	}
	return false;
}

uint64_t rd_team_retrying(const struct rd_fleet *f,
			  const struct rd_team_row *team)
{
	return team->backlog.waiting + rd_fleet_sum(f, team, "retrying");
}

/* --- backlogs ------------------------------------------------------------ */

void rd_backlog_init(struct rd_backlog *b)
{
	*b = (struct rd_backlog){.oldest_ms = RD_FLEET_NEVER};
}

void rd_backlog_add(struct rd_backlog *sum, const struct rd_backlog *one)
{
	sum->channels += one->channels;
	sum->lag += one->lag;
	sum->at_least = sum->at_least || one->at_least;
	sum->pending += one->pending;
	sum->waiting += one->waiting;
	if (one->oldest_ms < sum->oldest_ms)
		sum->oldest_ms = one->oldest_ms;
}

uint64_t rd_backlog_age_ms(const struct rd_backlog *b, uint64_t now_ms)
{
	return b->oldest_ms < now_ms ? now_ms - b->oldest_ms : 0;
}

/* --- the answer of numbers.lua ------------------------------------------- */

#define HEAD  3 /* values of the stream before the first group */
#define GROUP 5 /* values of a group before the first consumer */

bool rd_numbers_found(const struct rd_reply *numbers)
{
	return rd_reply_at(numbers, HEAD - 1) != NULL;
}

uint64_t rd_numbers_length(const struct rd_reply *numbers)
{
	return number(rd_reply_at(numbers, 0));
}

struct rd_id rd_numbers_last(const struct rd_reply *numbers)
{
	return rd_reply_id(rd_reply_at(numbers, 1));
}

bool rd_numbers_group(const struct rd_reply *numbers, size_t i,
		      struct rd_group_row *group_out)
{
	const struct rd_reply *row = rd_reply_at(numbers, HEAD + i);
	struct rd_slice consumer;
	uint64_t pending;

	if (rd_reply_at(row, GROUP - 1) == NULL)
		return false;
	*group_out = (struct rd_group_row){
	    .team = rd_reply_str(rd_reply_at(row, 0)),
	    .backlog = {.channels = 1,
			.lag = number(rd_reply_at(row, 1)),
			.at_least = rd_reply_int(rd_reply_at(row, 2), 1) == 0,
			.pending = number(rd_reply_at(row, 3)),
			.oldest_ms = RD_FLEET_NEVER},
	    .row = row,
	};
	if (rd_reply_str(rd_reply_at(row, 4)).len > 0)
		group_out->backlog.oldest_ms =
		    rd_reply_id(rd_reply_at(row, 4)).ms;
	for (size_t c = 0; rd_group_consumer(group_out, c, &consumer, &pending);
	     c++)
		if (rd_slice_is(consumer, "=later"))
			group_out->backlog.waiting = pending;
	return true;
}

bool rd_group_consumer(const struct rd_group_row *group, size_t i,
		       struct rd_slice *name_out, uint64_t *pending_out)
{
	const struct rd_reply *count =
	    rd_reply_at(group->row, GROUP + 2 * i + 1);

	if (count == NULL)
		return false;
	*name_out = rd_reply_str(rd_reply_at(group->row, GROUP + 2 * i));
	*pending_out = number(count);
	return true;
}
