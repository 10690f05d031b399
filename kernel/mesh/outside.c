/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/outside.h"

#include <stdatomic.h>

#include "base/banned.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "plugin/http_origin.h"

struct outside {
	_Atomic(const struct outside_list *) list;
	struct loop *const *loops;
	int nloops;
	void *slots[]; /* one a loop */
};

struct outside *outside_new(struct loop *const *loops, int nloops)
{
	struct outside *o = mem_zalloc(sizeof(*o) + (size_t)nloops * sizeof(void *));

	if (o == NULL)
		return NULL;
	o->loops = loops;
	o->nloops = nloops;
	return o;
}

static void free_here(void *slot)
{
	http_origins_free(slot);
}

void outside_free(struct outside *o)
{
	int i;

	if (o == NULL)
		return;
	for (i = 0; i < o->nloops; i++)
		loop_call(o->loops[i], free_here, &o->slots[i]);
	mem_free(o);
}

void outside_know(struct outside *o, const struct outside_list *list)
{
	atomic_store_explicit(&o->list, list, memory_order_release);
}

const struct outside_list *outside_known(const struct outside *o)
{
	return o ? atomic_load_explicit(&o->list, memory_order_acquire) : NULL;
}

const struct outside_server *outside_find(const struct outside *o, struct str name)
{
	const struct outside_list *list = outside_known(o);
	size_t i;

	for (i = 0; list != NULL && i < list->n; i++)
		if (str_eq(list->p[i].name, name))
			return &list->p[i];
	return NULL;
}

void **outside_slot(struct outside *o)
{
	return &o->slots[loop_index(loop_self())];
}
