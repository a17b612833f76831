/* SPDX-License-Identifier: MIT */
/*
 * clock.h -- two clocks, in milliseconds.
 *
 * Pure files take "now" as an argument, so tests need no replaceable clock.
 */
#ifndef RD_SRC_CLOCK_H
#define RD_SRC_CLOCK_H

#include <stdint.h>

/* Since some start, never goes back: for deadlines (CLOCK_MONOTONIC). */
uint64_t rd_clock_ms(void);
/* The same in microseconds, for measuring. */
uint64_t rd_clock_us(void);
/* Since 1970: for people, and to compare with the ids that Redis gives. */
uint64_t rd_clock_wall_ms(void);

#endif
