/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON bodies of the state API into the block's structs, with Go's manners: names in any case, unknown ones passed over,
 * null as if nothing was written, another type than wanted a fault that names the field.
 */
#ifndef API_DECODE_H
#define API_DECODE_H
#include "base/jstream.h"
#include "blocks/state.h"

struct decode {
	struct arena *a;
	struct jstream j;
	struct str message; /* the first fault; p == NULL: none */
};

struct decode decode_of(struct arena *a, struct str body);
/* 1: all was well and read to its end; else d->message says what was wrong, and where. */
int decode_end(struct decode *d);

/* One value, as it is stored; -1: *ret_message says why it is none. */
int decode_value(struct arena *a, struct str text, struct str *ret_value, struct str *ret_message);

/* [{key, value, etag, metadata, options}]; null is an empty list. */
void decode_items(struct decode *d, struct state_item **ret_items, size_t *ret_n);
struct decode_bulk {
	struct str *keys;
	size_t n;
	int64_t parallelism;
	const struct davit_pair *metadata;
	size_t nmetadata;
};
void decode_bulk(struct decode *d, struct decode_bulk *ret);
struct decode_step {
	struct str operation;
	struct state_item item;
	struct str message; /* what is wrong with the item; p == NULL: nothing */
};
struct decode_transaction {
	struct decode_step *steps;
	size_t n;
	const struct davit_pair *metadata;
	size_t nmetadata;
};
void decode_transaction(struct decode *d, struct decode_transaction *ret);
#endif
