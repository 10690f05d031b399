/* SPDX-License-Identifier: Apache-2.0 */
/* State operations in one line each, for the suites. Each call is the caller's to release. */
#ifndef BENCH_STATE_H
#define BENCH_STATE_H
#include <davit/state.h>

#include "host.h"

#define STATE_LIST 1200 /* most keys or steps of one call here */

struct put {
	const char *key;
	const void *value;
	size_t n;
	uint32_t flags;
	const char *etag; /* NULL: none */
	int64_t ttl_s;
};

uint32_t state_features(const struct host *h);
struct davit_bytes state_bytes(const char *text);

davit_status state_put(struct host *h, struct call *ret_call, const struct put *p);
davit_status state_put_text(struct host *h, const char *key,
			    const char *value); /* as JSON if it looks like it, else as bytes */
davit_status state_get(struct host *h, struct call *ret_call, const char *key);
davit_status state_del(struct host *h, struct call *ret_call, const char *key, uint32_t flags, const char *etag);
/* A step without a value is a delete. */
davit_status state_multi(struct host *h, struct call *ret_call, const struct put *steps, size_t n);
davit_status state_bulk_get(struct host *h, struct call *ret_call, const char *const *keys, size_t n);
/* Saves, or deletes where the first has no value. */
davit_status state_bulk_write(struct host *h, struct call *ret_call, const struct put *steps, size_t n);
davit_status state_keys_like(struct host *h, struct call *ret_call, const char *pattern, const char *token,
			     uint64_t page);
davit_status state_del_prefix(struct host *h, struct call *ret_call, const char *prefix);

/* Whether the key's value is exactly this; value NULL: whether there is none. */
int state_is(struct host *h, const char *key, const void *value, size_t n);
int state_is_text(struct host *h, const char *key, const char *value);
/* The ETag of a key; 0: there is none. */
int state_etag(struct host *h, const char *key, char ret_etag[128]);
/* The call was refused because its ETag can never be one of this store's. */
int state_etag_invalid(const struct call *c);
/* The page record of a call, which may be absent. */
struct record state_page(const struct call *c);
#endif
