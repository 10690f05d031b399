/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys there are: all that match are gathered and sorted, and a page of them is told; the token is how many came before. */
#include <davit/like.h>
#include <stdlib.h>

#include "store.h"

#define KEYS_MOST 1000000 /* in one answer */
#define BYTES_MOST (256u << 20)

struct found {
	struct davit_str *keys;
	size_t n, room, bytes;
};

/* Whatever matches the pattern matches the glob; what it lets through beyond that is sorted out here. */
static char *glob_of(struct davit_str like)
{
	char *glob = malloc(2 * like.n + 2), *g = glob;
	size_t i;

	if (glob == NULL)
		return NULL;
	for (i = 0; i < like.n; i++) {
		char c = like.p[i];

		if (c == '%') {
			*g++ = '*';
		} else if (c == '_') {
			*g++ = '?';
			/* A character is one byte to the server and may be more to us. */
			*g++ = '*';
		} else {
			if (c == '\\' && i + 1 < like.n)
				c = like.p[++i];
			if (strchr("*?[]\\^-", c) != NULL)
				*g++ = '\\';
			*g++ = c;
		}
	}
	*g = '\0';
	return glob;
}

static int add(struct found *f, const redisReply *key)
{
	char *copy;

	if (f->n == f->room) {
		size_t room = f->room ? f->room * 2 : 256;
		struct davit_str *grown = reallocarray(f->keys, room, sizeof(*grown));

		if (grown == NULL)
			return -1;
		f->keys = grown;
		f->room = room;
	}
	copy = malloc((size_t)key->len + 1);
	if (copy == NULL)
		return -1;
	memcpy(copy, key->str, (size_t)key->len + 1);
	f->keys[f->n++] = (struct davit_str){ copy, (size_t)key->len };
	f->bytes += (size_t)key->len;
	return f->n <= KEYS_MOST && f->bytes <= BYTES_MOST ? 0 : -1;
}

static void release(struct found *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		free((char *)f->keys[i].p);
	free(f->keys);
}

/* [cursor, [keys]]. 1: there is more; 0: that was all; -1: f says what is wrong. */
static int take_page(const redisReply *r, struct davit_str like, struct found *found, char cursor[24], struct fault *f)
{
	const redisReply *keys;
	size_t i;

	if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || r->element[0]->type != REDIS_REPLY_STRING ||
	    r->element[1]->type != REDIS_REPLY_ARRAY || r->element[0]->len > 23) {
		fault_reply(f, r, "redis SCAN failed");
		return -1;
	}
	keys = r->element[1];
	for (i = 0; i < keys->elements; i++) {
		const redisReply *key = keys->element[i];

		if (key->type != REDIS_REPLY_STRING ||
		    !davit_like(like, (struct davit_str){ key->str, (size_t)key->len }))
			continue;
		if (add(found, key) < 0) {
			fault_set(f, DAVIT_EXHAUSTED, NULL, "more keys match than can be told, or no memory is left");
			return -1;
		}
	}
	snprintf(cursor, 24, "%s", r->element[0]->str);
	return strcmp(cursor, "0") != 0;
}

static davit_status scan_server(struct store *s, struct davit_call *call, size_t server, const char *glob,
				struct davit_str like, struct found *found, struct fault *f)
{
	const char *words[] = { "SCAN", NULL, "MATCH", glob, "COUNT", "1000" };
	struct redis_command command = { .argc = 6, .argv = words, .read = 1 };
	char cursor[24] = "0", why[REDIS_WHY] = "";
	struct redis_request *r;
	const redisReply *reply;
	davit_status status;
	int more = 1;

	while (more > 0) {
		words[1] = cursor;
		status = redis_do_at(s->client, call, server, &command, &r, &reply, why);
		if (status != DAVIT_OK)
			return fault_set(f, status, NULL, "redis SCAN failed: %s", why);
		more = take_page(reply, like, found, cursor, f);
		redis_request_unref(r);
	}
	return more < 0 ? f->status : DAVIT_OK;
}

static int by_bytes(const void *a, const void *b)
{
	const struct davit_str *x = a, *y = b;
	size_t n = x->n < y->n ? x->n : y->n;
	int order = memcmp(x->p, y->p, n);

	return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

/* The server may tell a key twice. */
static void sort(struct found *f)
{
	size_t i, n = 0;

	if (f->n > 0)
		qsort(f->keys, f->n, sizeof(*f->keys), by_bytes);
	for (i = 0; i < f->n; i++) {
		if (n > 0 && by_bytes(&f->keys[n - 1], &f->keys[i]) == 0)
			free((char *)f->keys[i].p);
		else
			f->keys[n++] = f->keys[i];
	}
	f->n = n;
}

static davit_status emit_page(struct davit_call *call, const struct found *f, uint64_t start, uint64_t size)
{
	struct davit_state_page page = DAVIT_INIT(davit_state_page, .count = 0);
	uint64_t i, end = size > 0 && size < f->n - start ? start + size : f->n;
	davit_status status = DAVIT_OK;
	char token[24];

	for (i = start; i < end && status == DAVIT_OK; i++) {
		struct davit_state_item item = DAVIT_INIT(davit_state_item, .key = f->keys[i]);

		status = davit_emit_state(call, &item);
	}
	if (end < f->n) {
		snprintf(token, sizeof(token), "%llu", (unsigned long long)end);
		page.token = davit_str(token);
	}
	return status == DAVIT_OK ? davit_emit(call, &page) : status;
}

static int read_token(struct davit_str token, uint64_t *ret_start)
{
	*ret_start = 0;
	if (token.n == 0)
		return 0;
	if (token.n > 18 || strspn(token.p, "0123456789") != token.n)
		return -1;
	*ret_start = strtoull(token.p, NULL, 10);
	return 0;
}

davit_status keys_like(struct store *s, struct davit_call *call, const struct davit_state_prefix *in)
{
	struct found found = { .n = 0 };
	davit_status status = DAVIT_OK;
	struct fault f;
	uint64_t start;
	size_t i;
	char *glob;

	if (in->prefix.n == 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "pattern must not be empty");
	if (read_token(in->token, &start) < 0)
		return davit_fail(call, DAVIT_INVALID_ARGUMENT, NULL, "invalid continuation token");
	glob = glob_of(in->prefix);
	if (glob == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	for (i = 0; i < redis_servers(s->client) && status == DAVIT_OK; i++)
		status = scan_server(s, call, i, glob, in->prefix, &found, &f);
	if (status != DAVIT_OK) {
		status = fault_tell(&f, call);
	} else {
		sort(&found);
		status = emit_page(call, &found, start < found.n ? start : found.n, in->page);
	}
	release(&found);
	free(glob);
	return status;
}
