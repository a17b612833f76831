/* SPDX-License-Identifier: MIT */
/*
 * slot.c -- which slot of a team a channel belongs to; see slot.h.
 *
 * A name is hashed when its channel is found, not for each message, so four
 * bits at a time and a table of 16 are fast enough.
 */
#include "src/slot.h"

#include <assert.h>
#include <stdint.h>

/* The polynomial 0x1021, for each value of the four upper bits. */
static const uint16_t crc_table[16] = {
    0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
    0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
};

static unsigned crc16(struct rd_slice s)
{
	unsigned crc = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned byte = (unsigned char)s.data[i];

		crc = (crc << 4) ^ crc_table[(crc >> 12 ^ byte >> 4) & 15];
		crc = (crc << 4) ^ crc_table[(crc >> 12 ^ byte) & 15];
	}
	return crc & 0xffff;
}

bool rd_slot_tag(struct rd_slice name, struct rd_slice *tag_out)
{
	const char *open, *close;

	if (name.len == 0)
		return false;
	open = memchr(name.data, '{', name.len);
	if (open == NULL)
		return false;
	open++;
	close = memchr(open, '}', name.len - (size_t)(open - name.data));
	if (close == NULL || close == open)
		return false;
	*tag_out = (struct rd_slice){open, (size_t)(close - open)};
	return true;
}

unsigned rd_slot_of(struct rd_slice channel, unsigned slots)
{
	struct rd_slice hashed = channel;

	assert(slots > 0);
	if (!rd_slot_tag(channel, &hashed))
		hashed = channel;
	return crc16(hashed) % slots;
}
