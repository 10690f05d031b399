/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <sys/random.h>

#include "base/banned.h"
#include "base/mem.h"

static uint64_t seed(void)
{
	static _Atomic uint64_t value;
	uint64_t v = value, expected = 0;

	if (v != 0)
		return v;
	if (getrandom(&v, sizeof(v), 0) != sizeof(v) || v == 0)
		v = (uint64_t)(uintptr_t)&value | 1;
	return __atomic_compare_exchange_n((uint64_t *)&value, &expected, v, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
		       ? v
		       : expected;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply-and-fold over words, both factors keyed by the seed. */
uint64_t map_hash(struct str key)
{
	uint64_t s = seed(), h = s ^ key.n, word;
	const char *p = key.p;
	size_t n = key.n;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&word, p, 8);
		h = mix(word ^ h, s ^ 0x9e3779b97f4a7c15u);
	}
	word = 0;
	if (n > 0)
		memcpy(&word, p, n);
	h = mix(word ^ h, s ^ 0xc2b2ae3d27d4eb4fu);
	return mix(h, 0xd6e8feb86659fd93u);
}

void map_free(struct map *m)
{
	size_t i;

	for (i = 0; i < m->used; i++)
		mem_free((char *)m->entries[i].key.p);
	mem_free(m->entries);
	mem_free(m->slots);
	*m = map_init();
}

static size_t slot_count(size_t cap)
{
	return 2 * cap;
}

/* The slot that holds key, or the empty one where it would go. */
static size_t find_slot(const struct map *m, struct str key, uint64_t hash)
{
	size_t mask = slot_count(m->cap) - 1, at = hash & mask;

	while (m->slots[at] != 0) {
		const struct map_entry *e = &m->entries[m->slots[at] - 1];

		if (e->key.p != NULL && e->hash == hash && str_eq(e->key, key))
			break;
		at = (at + 1) & mask;
	}
	return at;
}

void *map_get(const struct map *m, struct str key)
{
	size_t at;

	if (m->n == 0)
		return NULL;
	at = find_slot(m, key, map_hash(key));
	return m->slots[at] ? m->entries[m->slots[at] - 1].value : NULL;
}

/* Rebuilds without holes, with room for at least one more. */
static int rebuild(struct map *m)
{
	size_t cap = m->cap ? m->cap : 8, i, k = 0;
	struct map_entry *entries;
	uint32_t *slots;

	while (cap <= m->n + m->n / 2)
		cap *= 2;
	entries = mem_alloc(cap * sizeof(*entries));
	slots = mem_zalloc(slot_count(cap) * sizeof(*slots));
	if (entries == NULL || slots == NULL || cap > UINT32_MAX / 2) {
		mem_free(entries);
		mem_free(slots);
		return -1;
	}
	for (i = 0; i < m->used; i++)
		if (m->entries[i].key.p != NULL)
			entries[k++] = m->entries[i];
	mem_free(m->entries);
	mem_free(m->slots);
	m->entries = entries;
	m->slots = slots;
	m->cap = cap;
	m->used = k;
	for (i = 0; i < k; i++)
		slots[find_slot(m, entries[i].key, entries[i].hash)] = (uint32_t)i + 1;
	return 0;
}

int map_set(struct map *m, struct str key, void *value, void **ret_old)
{
	uint64_t hash = map_hash(key);
	struct map_entry *e;
	char *copy;
	size_t at;

	if (m->cap > 0) {
		at = find_slot(m, key, hash);
		if (m->slots[at] != 0) {
			e = &m->entries[m->slots[at] - 1];
			if (ret_old != NULL)
				*ret_old = e->value;
			e->value = value;
			return 0;
		}
	}
	copy = mem_dup(key.p, key.n);
	if (copy == NULL || (m->used == m->cap && rebuild(m) < 0)) {
		mem_free(copy);
		return -1;
	}
	at = find_slot(m, key, hash);
	m->entries[m->used] = (struct map_entry){ { copy, key.n }, value, hash };
	m->slots[at] = (uint32_t)++m->used;
	m->n++;
	if (ret_old != NULL)
		*ret_old = NULL;
	return 0;
}

void *map_remove(struct map *m, struct str key)
{
	struct map_entry *e;
	size_t at;

	if (m->n == 0)
		return NULL;
	at = find_slot(m, key, map_hash(key));
	if (m->slots[at] == 0)
		return NULL;
	e = &m->entries[m->slots[at] - 1];
	mem_free((char *)e->key.p);
	e->key = STR_NONE; /* the slot stays, as a mark that probing goes on here */
	m->n--;
	return e->value;
}

const struct map_entry *map_next(const struct map *m, size_t *at)
{
	while (*at < m->used)
		if (m->entries[(*at)++].key.p != NULL)
			return &m->entries[*at - 1];
	return NULL;
}
