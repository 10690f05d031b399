/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/cell.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/banned.h"
#include "base/mem.h"
#include "loop/loop.h"

/* First in, first out. */
struct rest {
	struct cell *first, *last;
	size_t n;
};

static _Thread_local struct rest mine;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

/* Those that ended on a thread that is no loop's, as a call does that nobody waited for any more, and what loops leave behind. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rest others;
static atomic_size_t nothers;

static void put(struct rest *r, struct cell *c)
{
	c->next = NULL;
	if (r->first == NULL)
		r->first = c;
	else
		r->last->next = c;
	r->last = c;
	r->n++;
}

static struct cell *take(struct rest *r)
{
	struct cell *c = r->first;

	r->first = c->next;
	r->n--;
	return c;
}

static void rest_elsewhere(struct cell *c)
{
	pthread_mutex_lock(&lock);
	put(&others, c);
	nothers = others.n;
	pthread_mutex_unlock(&lock);
}

/* Not given back: somebody may still speak of one. Another loop uses them again. */
static void thread_ends(void *rest)
{
	struct rest *r = rest;

	while (r->n > 0)
		rest_elsewhere(take(r));
}

static void make_key(void)
{
	if (pthread_key_create(&key, thread_ends) != 0)
		abort();
}

static void put_mine(struct cell *c)
{
	if (mine.n == 0) { /* so that what rests outlives the thread */
		pthread_once(&once, make_key);
		pthread_setspecific(key, &mine);
	}
	put(&mine, c);
}

static void take_over_others(void)
{
	pthread_mutex_lock(&lock);
	while (others.n > 0)
		put_mine(take(&others));
	nothers = 0;
	pthread_mutex_unlock(&lock);
}

void cell_rest(void *cell)
{
	if (loop_self() != NULL) {
		put_mine(cell);
		return;
	}
	rest_elsewhere(cell);
}

static struct cell *cell_new(size_t n)
{
	struct cell *c = mem_zalloc(n);
	int i;

	for (i = 0; c != NULL && i < CELL_HANDLES; i++)
		c->handles[i].cell = c;
	return c;
}

struct cell *cell_take(size_t n, const struct davit_host *host, const char *name)
{
	struct cell *c;
	struct handle *h;
	uint32_t turn;

	if (nothers > 0)
		take_over_others();
	c = mine.n > CELL_REST ? take(&mine) : cell_new(n);
	if (c == NULL)
		return NULL;
	turn = c->turn + 1;
	h = &c->handles[turn % CELL_HANDLES];
	h->head.host = host;
	h->name = name;
	c->turn = turn;
	return c;
}

struct kept_name {
	struct kept_name *next;
	char text[];
};

const char *cell_name(struct str name)
{
	static struct kept_name *names;
	struct kept_name *k;

	pthread_mutex_lock(&lock);
	for (k = names; k != NULL && !str_is(name, k->text); k = k->next)
		;
	if (k == NULL && (k = mem_zalloc(sizeof(*k) + name.n + 1)) != NULL) {
		memcpy(k->text, name.p, name.n);
		k->next = names;
		names = k;
	}
	pthread_mutex_unlock(&lock);
	return k ? k->text : NULL;
}
