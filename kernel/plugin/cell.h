/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of calls, and what a plugin holds of one: a handle, an address in the cell that stands for this call alone. A
 * cell is never given back to the system; it rests and is used again in turn, each time with its next
 * handle. So a plugin that says something about a call that has ended is told from one that speaks in time, even when the
 * memory is another call's by then: for CELL_REST * CELL_HANDLES calls of the loop at least.
 */
#ifndef PLUGIN_CELL_H
#define PLUGIN_CELL_H
#include <davit/plugin.h>

#include "base/str.h"

#define CELL_HANDLES 8
#define CELL_REST 64 /* so many rest before the one that has rested longest is used again */

struct cell;

struct handle {
	struct davit_call head; /* what the plugin has */
	struct cell *cell;
	const char *name; /* whose call it is or was, of cell_name() */
};

struct cell {
	struct cell *next; /* while it rests */
	_Atomic uint32_t turn;
	struct handle handles[CELL_HANDLES];
};

/* From a loop's thread. n: bytes with the cell at their beginning, always the same n; the rest is not cleared. NULL: no
 * memory. */
struct cell *cell_take(size_t n, const struct davit_host *host, const char *name);
void cell_rest(void *cell); /* any thread */

/* The text, for the life of the program as cells are: what a plugin says late has to be said of somebody when the component
 * is long gone. One for each name that there ever was. Any thread; NULL: no memory. */
const char *cell_name(struct str name);

static inline struct davit_call *cell_head(struct cell *c)
{
	return &c->handles[c->turn % CELL_HANDLES].head;
}

static inline struct cell *cell_of(const struct davit_call *head)
{
	return ((const struct handle *)head)->cell;
}

/* 0: head is a call's that has ended, and the cell is another's. */
static inline int cell_is_of(const struct davit_call *head)
{
	return cell_head(cell_of(head)) == head;
}
#endif
