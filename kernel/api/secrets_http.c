/* SPDX-License-Identifier: Apache-2.0 */
/* The secrets API over HTTP (https://docs.dapr.io/reference/api/secrets_api/). */
#include "api/handlers.h"
#include "base/banned.h"
#include "base/buf.h"
#include "base/jstream.h"
#include "blocks/secrets.h"

static int find_store(struct request *r, struct secret_store **ret_store)
{
	struct error e = secrets_find(r->blocks, r->arena, r->params[0], ret_store);

	if (!error_is(&e))
		return 1;
	request_fail(r, &e);
	return 0;
}

/* The pairs of one secret, sorted as Go prints a map; returns how many they were. */
static int by_key(const void *a, const void *b)
{
	return str_cmp(((const struct secret_pair *)a)->key, ((const struct secret_pair *)b)->key);
}

static int by_name(const void *a, const void *b)
{
	int r = str_cmp(((const struct secret_pair *)a)->name, ((const struct secret_pair *)b)->name);

	return r ? r : by_key(a, b);
}

static size_t put_secret(struct buf *b, const struct secret_pair *pairs, size_t n)
{
	size_t i;

	buf_addc(b, '{');
	for (i = 0; i < n && str_eq(pairs[i].name, pairs[0].name); i++) {
		if (i > 0)
			buf_addc(b, ',');
		jstream_put_html(b, pairs[i].key);
		buf_addc(b, ':');
		jstream_put_html(b, pairs[i].value);
	}
	buf_addc(b, '}');
	return i;
}

void secrets_http_get(struct request *r)
{
	const struct davit_pair *metadata;
	const struct secret_pair *pairs;
	struct buf b = buf_in(r->arena);
	struct secret_store *store;
	struct error e;
	size_t n;

	if (!find_store(r, &store))
		return;
	metadata = request_metadata(r, &n);
	e = secrets_get(r->blocks, &r->scope, store, r->params[1], metadata, n, &pairs, &n);
	if (error_is(&e)) {
		request_fail(r, &e);
		return;
	}
	if (n == 0) {
		request_empty(r);
		return;
	}
	qsort((struct secret_pair *)pairs, n, sizeof(*pairs), by_key);
	put_secret(&b, pairs, n);
	buf_addc(&b, '\n');
	request_json(r, 200, buf_str(&b));
}

void secrets_http_bulk(struct request *r)
{
	const struct davit_pair *metadata;
	const struct secret_pair *pairs;
	struct buf b = buf_in(r->arena);
	struct secret_store *store;
	struct error e;
	size_t n, i;

	if (!find_store(r, &store))
		return;
	metadata = request_metadata(r, &n);
	e = secrets_bulk(r->blocks, &r->scope, store, metadata, n, &pairs, &n);
	if (error_is(&e)) {
		request_fail(r, &e);
		return;
	}
	qsort((struct secret_pair *)pairs, n, sizeof(*pairs), by_name);
	buf_addc(&b, '{');
	for (i = 0; i < n;) {
		if (i > 0)
			buf_addc(&b, ',');
		jstream_put_html(&b, pairs[i].name);
		buf_addc(&b, ':');
		i += put_secret(&b, pairs + i, n - i);
	}
	buf_lit(&b, "}\n");
	request_json(r, 200, buf_str(&b));
}
