/* SPDX-License-Identifier: Apache-2.0 */
#include "pairs.h"

#include <stdlib.h>

#define HEAD 4

static char *put(char *at, struct davit_str s)
{
	int i;

	for (i = 0; i < HEAD; i++)
		*at++ = (char)(s.n >> (8 * i));
	if (s.n > 0)
		memcpy(at, s.p, s.n);
	return at + s.n;
}

int pairs_write(const struct davit_pair *pairs, uint64_t n, struct davit_bytes *ret_blob)
{
	uint64_t size = 0, i;
	char *p, *at;

	*ret_blob = (struct davit_bytes){ NULL, 0 };
	for (i = 0; i < n; i++) {
		if (pairs[i].key.n > UINT32_MAX || pairs[i].value.n > UINT32_MAX)
			return -1;
		size += 2 * HEAD + pairs[i].key.n + pairs[i].value.n;
	}
	if (size == 0)
		return 0;
	p = at = malloc(size);
	if (p == NULL)
		return -1;
	for (i = 0; i < n; i++)
		at = put(put(at, pairs[i].key), pairs[i].value);
	*ret_blob = (struct davit_bytes){ p, size };
	return 0;
}

void pairs_free(struct davit_bytes blob)
{
	free((void *)(uintptr_t)blob.p);
}

/* The text at *at, which moves behind it. -1: there is none. */
static int next(struct davit_bytes blob, size_t *at, struct davit_str *ret)
{
	const unsigned char *p = blob.p;
	size_t n;

	if (blob.n - *at < HEAD)
		return -1;
	p += *at;
	n = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
	*at += HEAD;
	if (blob.n - *at < n)
		return -1;
	*ret = (struct davit_str){ (const char *)p + HEAD, n };
	*at += n;
	return 0;
}

int64_t pairs_size(struct davit_bytes blob, uint64_t *ret_n)
{
	struct davit_str s;
	int64_t size = 0;
	uint64_t texts = 0;
	size_t at = 0;

	while (at < blob.n) {
		if (next(blob, &at, &s) < 0)
			return -1;
		size += (int64_t)s.n + 1;
		texts++;
	}
	if (texts % 2 != 0)
		return -1;
	*ret_n = texts / 2;
	return size + (int64_t)(*ret_n * sizeof(struct davit_pair));
}

void pairs_read(struct davit_bytes blob, void *room, uint64_t n)
{
	struct davit_pair *pairs = room;
	char *to = (char *)(pairs + n);
	struct davit_str s, *into;
	size_t at = 0;
	uint64_t i;

	for (i = 0; i < 2 * n && next(blob, &at, &s) == 0; i++) {
		into = i % 2 == 0 ? &pairs[i / 2].key : &pairs[i / 2].value;
		memcpy(to, s.p, s.n);
		to[s.n] = '\0';
		*into = (struct davit_str){ to, s.n };
		to += s.n + 1;
	}
}
