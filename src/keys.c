/* SPDX-License-Identifier: MIT */
/*
 * keys.c -- names of keys in Redis; see keys.h.
 */
#include "src/keys.h"
#include "src/slot.h"
#include "src/utf8.h"

/* Redis Cluster takes "{}" for no tag at all, and then nothing that stands
 * beside the channel could share its slot. */
static bool has_empty_tag(struct rd_slice s)
{
	const char *open = memchr(s.data, '{', s.len);

	return open != NULL && open + 1 < s.data + s.len && open[1] == '}';
}

bool rd_channel_valid(struct rd_slice channel)
{
	int open = 0;

	if (channel.len < 1 || channel.len > RD_CHANNEL_MAX)
		return false;
	if (has_empty_tag(channel))
		return false;
	for (size_t i = 0; i < channel.len; i++) {
		if (channel.data[i] == '{')
			open++;
		else if (channel.data[i] == '}' && --open < 0)
			return false;
	}
	return open == 0 && !rd_utf8_has_control(channel) &&
	       rd_utf8_valid(channel);
}

bool rd_name_valid(struct rd_slice name)
{
	static const char extra[] = "._-";

	if (name.len < 1 || name.len > RD_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c >= '0' && c <= '9') ||
		      memchr(extra, c, sizeof(extra) - 1) != NULL))
			return false;
	}
	return true;
}

void rd_key_channel(struct rd_buf *out, const char *prefix,
		    struct rd_slice channel)
{
	rd_key_named(out, prefix, "ch", channel);
}

void rd_key_global(struct rd_buf *out, const char *prefix, const char *name)
{
	rd_buf_clear(out);
	rd_buf_adds(out, prefix);
	rd_buf_addc(out, ':');
	rd_buf_adds(out, name);
}

void rd_key_named(struct rd_buf *out, const char *prefix, const char *kind,
		  struct rd_slice tail)
{
	rd_key_global(out, prefix, kind);
	rd_buf_addc(out, ':');
	rd_buf_addslice(out, tail);
}

void rd_key_beside(struct rd_buf *out, const char *prefix, const char *kind,
		   struct rd_slice channel)
{
	struct rd_slice tag;
	bool tagged = rd_slot_tag(channel, &tag);

	rd_key_global(out, prefix, kind);
	rd_buf_adds(out, tagged ? ":" : ":{");
	rd_buf_adds(out, prefix);
	rd_buf_adds(out, ":ch:");
	rd_buf_addslice(out, channel);
	if (!tagged)
		rd_buf_addc(out, '}');
}

int rd_key_to_channel(struct rd_slice key, const char *prefix,
		      struct rd_slice *channel_out)
{
	size_t len = strlen(prefix);

	if (key.len <= len + 4 || memcmp(key.data, prefix, len) != 0 ||
	    memcmp(key.data + len, ":ch:", 4) != 0)
		return RD_EINVAL;
	*channel_out = (struct rd_slice){key.data + len + 4, key.len - len - 4};
	return RD_OK;
}
