/* SPDX-License-Identifier: MIT */
/*
 * fleet.h -- who is running, and how far each team is: what a census found.
 *
 * Members say of themselves what they like (node.h); what is here of teams is
 * computed from their groups, not taken from XINFO: see lua/numbers.lua.
 */
#ifndef RD_SRC_FLEET_H
#define RD_SRC_FLEET_H

#include "src/map.h"
#include "src/reply.h"

#define RD_FLEET_NEVER UINT64_MAX

/* What a group has not finished, in one channel or in many. */
struct rd_backlog {
	uint64_t channels;  /* in which there is such a group */
	uint64_t lag;       /* entries that it was not given */
	bool at_least;      /* lag was not counted to its end */
	uint64_t pending;   /* given, not acknowledged */
	uint64_t waiting;   /* of those: for a retry, in nobody's hands */
	uint64_t oldest_ms; /* when the oldest of all was published, by Redis'
			     * clock; RD_FLEET_NEVER: all is finished */
};

struct rd_member_row {
	char *id;                /* owned, by the fleet as all here */
	struct rd_reply *fields; /* of its hash; NULL: it has just gone */
};

struct rd_team_row {
	struct rd_map_node node; /* by name */
	struct rd_slice name;    /* owned with the struct */
	uint64_t registered_ms;  /* its place among the teams; 0: none */
	struct rd_reply *conf;   /* its settings, names and values, or NULL */
	struct rd_reply *beats;  /* members and scores of the living */
	uint64_t dead;           /* dead letters that are kept */
	struct rd_backlog backlog;
};

struct rd_fleet {
	uint64_t now_ms;               /* Redis' clock at the start */
	struct rd_member_row *members; /* sorted by id */
	size_t member_count;
	struct rd_map by_name;      /* of teams */
	struct rd_team_row **teams; /* sorted by name */
	size_t team_count;
	uint64_t channels; /* that are known */
	uint64_t last_ms;  /* how long the count took */
	bool
	    with_channels; /* were channels looked at, so that backlogs hold? */
};

/* One group of one channel, as numbers.lua tells it. */
struct rd_group_row {
	struct rd_slice team; /* borrowed from the reply, as all here */
	struct rd_backlog backlog;
	const struct rd_reply *row; /* holds the consumers; rd_group_consumer */
};

void rd_fleet_init(struct rd_fleet *f);
void rd_fleet_fini(struct rd_fleet *f);
/* The team of this name, made where it is not there. */
struct rd_team_row *rd_fleet_team(struct rd_fleet *f, struct rd_slice name);
/* The same, or NULL. */
struct rd_team_row *rd_fleet_find(const struct rd_fleet *f,
				  struct rd_slice name);
/* Once all is in. */
void rd_fleet_sort(struct rd_fleet *f);

/* The value of a member's field; data is NULL where there is none. */
struct rd_slice rd_member_field(const struct rd_member_row *m,
				const char *name);
uint64_t rd_member_number(const struct rd_member_row *m, const char *name);
bool rd_member_is(const struct rd_member_row *m, const char *role);
/* Is it a worker of this team? */
bool rd_member_serves(const struct rd_member_row *m,
		      const struct rd_team_row *team);
/* The sum of a field over the workers of a team. */
uint64_t rd_fleet_sum(const struct rd_fleet *f, const struct rd_team_row *team,
		      const char *field);

/* The score of a zset that holds a time; 0 for anything else. */
uint64_t rd_score_ms(struct rd_slice score);
/* How many workers live, by Redis' clock. */
size_t rd_team_alive(const struct rd_team_row *team, uint64_t now_ms);
/* Does this consumer? */
bool rd_team_is_alive(const struct rd_team_row *team, struct rd_slice consumer,
		      uint64_t now_ms);
/* When somebody of it last gave a sign of life; 0: never. */
uint64_t rd_team_seen_ms(const struct rd_team_row *team);
/* Walks what is paused: channels and patterns.  *at is 0 at first. */
bool rd_team_paused(const struct rd_team_row *team, size_t *at,
		    struct rd_slice *what_out);
/* Retries that wait: those that nobody has in hand, and those that the owner
 * of a divided channel holds back. */
uint64_t rd_team_retrying(const struct rd_fleet *f,
			  const struct rd_team_row *team);

void rd_backlog_init(struct rd_backlog *b);
void rd_backlog_add(struct rd_backlog *sum, const struct rd_backlog *one);
/* Age of the oldest unfinished entry; 0 where there is none. */
uint64_t rd_backlog_age_ms(const struct rd_backlog *b, uint64_t now_ms);

/* The answer of numbers.lua: was there such a stream; its groups, i from 0. */
bool rd_numbers_found(const struct rd_reply *numbers);
uint64_t rd_numbers_length(const struct rd_reply *numbers);
struct rd_id rd_numbers_last(const struct rd_reply *numbers);
bool rd_numbers_group(const struct rd_reply *numbers, size_t i,
		      struct rd_group_row *group_out);
/* A consumer with pending entries, i from 0. */
bool rd_group_consumer(const struct rd_group_row *group, size_t i,
		       struct rd_slice *name_out, uint64_t *pending_out);

#endif
