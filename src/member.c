/* SPDX-License-Identifier: MIT */
/*
 * member.c -- one flat document, whatever it was written in; see member.h.
 *
 * The members are few, so they are looked for one by one.
 */
#include "src/member.h"
#include "src/mem.h"

#include <stdlib.h>

void rd_members_fini(struct rd_members *m)
{
	free(m->items);
	rd_buf_fini(&m->decoded);
	*m = (struct rd_members){0};
}

struct rd_member *rd_members_add(struct rd_members *m)
{
	if (m->count == m->cap) {
		m->cap = m->cap == 0 ? 8 : m->cap * 2;
		m->items = rd_realloc(m->items, m->cap * sizeof(*m->items));
	}
	m->items[m->count] = (struct rd_member){0};
	return &m->items[m->count++];
}

const struct rd_member *rd_members_get(const struct rd_members *m,
				       const char *name)
{
	struct rd_slice wanted = rd_slice_str(name);

	for (size_t i = m->count; i > 0; i--)
		if (rd_slice_eq(m->items[i - 1].name, wanted))
			return &m->items[i - 1];
	return NULL;
}
