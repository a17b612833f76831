/* SPDX-License-Identifier: MIT */
/*
 * slot.h -- which slot of a team a channel belongs to.
 *
 * Everybody who shares a data set must agree on it, for as long as the data
 * lives, so it is the hash of Redis Cluster: CRC16 (XMODEM) of the name, or of
 * its tag alone where it has one.
 */
#ifndef RD_SRC_SLOT_H
#define RD_SRC_SLOT_H

#include <redistribute/slice.h>

/*
 * What stands between the first '{' of a name and the next '}' behind it,
 * borrowed from the name; false where that is nothing (Cluster specification,
 * hash tags).
 */
bool rd_slot_tag(struct rd_slice name, struct rd_slice *tag_out);
/* 0 to slots - 1; slots may not be 0.  Names of one tag share a slot. */
unsigned rd_slot_of(struct rd_slice channel, unsigned slots);

#endif
