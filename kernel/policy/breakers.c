/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/breakers.h"

#include <pthread.h>

#include "base/banned.h"
#include "base/map.h"
#include "base/mem.h"

struct kept {
	struct kept *before, *behind; /* asked for later, earlier */
	struct breaker *breaker;
	size_t n;
	char key[];
};

struct breakers {
	pthread_mutex_t lock; /* of all of it; breakers' own locks are not taken inside */
	struct map by_key;
	struct kept *newest, *oldest;
	size_t most;
};

static void unlink_kept(struct breakers *s, struct kept *k)
{
	*(k->before ? &k->before->behind : &s->newest) = k->behind;
	*(k->behind ? &k->behind->before : &s->oldest) = k->before;
}

static void link_newest(struct breakers *s, struct kept *k)
{
	k->before = NULL;
	k->behind = s->newest;
	*(s->newest ? &s->newest->before : &s->oldest) = k;
	s->newest = k;
}

static void drop(struct kept *k)
{
	breaker_unref(k->breaker);
	mem_free(k);
}

struct breakers *breakers_new(size_t most)
{
	struct breakers *s = mem_zalloc(sizeof(*s));

	if (s == NULL || pthread_mutex_init(&s->lock, NULL) != 0) {
		mem_free(s);
		return NULL;
	}
	s->most = most;
	return s;
}

void breakers_free(struct breakers *s)
{
	struct kept *k, *next;

	if (s == NULL)
		return;
	for (k = s->newest; k != NULL; k = next) {
		next = k->behind;
		drop(k);
	}
	map_free(&s->by_key);
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
}

static struct kept *add(struct breakers *s, struct str key, const struct breaker_about *about, struct str name)
{
	struct kept *k = mem_alloc(sizeof(*k) + key.n + 1), *old;

	if (k == NULL)
		return NULL;
	memcpy(k->key, key.p, key.n);
	k->key[key.n] = '\0';
	k->n = key.n;
	k->breaker = breaker_new(about, name);
	if (k->breaker == NULL || map_set(&s->by_key, key, k, NULL) < 0) {
		drop(k);
		return NULL;
	}
	link_newest(s, k);
	if (s->by_key.n > s->most) {
		old = s->oldest;
		unlink_kept(s, old);
		map_remove(&s->by_key, (struct str){ old->key, old->n });
		drop(old);
	}
	return k;
}

struct breaker *breakers_get(struct breakers *s, struct str key, const struct breaker_about *about, struct str name)
{
	struct breaker *b = NULL;
	struct kept *k;

	pthread_mutex_lock(&s->lock);
	k = map_get(&s->by_key, key);
	if (k == NULL) {
		k = add(s, key, about, name);
	} else if (k != s->newest) {
		unlink_kept(s, k);
		link_newest(s, k);
	}
	if (k != NULL)
		b = breaker_ref(k->breaker);
	pthread_mutex_unlock(&s->lock);
	return b;
}
