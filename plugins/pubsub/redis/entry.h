/* SPDX-License-Identifier: Apache-2.0 */
/* A message as it lies in a stream: the field "data", and "metadata" as a JSON object of strings. */
#ifndef ENTRY_H
#define ENTRY_H
#include <davit/pubsub.h>
#include <hiredis/hiredis.h>
#include <jansson.h>

#define ENTRY_ID 48 /* "1526919030474-55", two numbers of 64 bits, with a NUL */

struct entry {
	char id[ENTRY_ID];
	struct davit_bytes data;     /* the reply's */
	struct davit_bytes metadata; /* the reply's, as JSON; p == NULL: none */
};

/* [id, [name, value, ...]]. 0; -1: it is not like that, or the entry has been deleted. */
int entry_read(const redisReply *r, struct entry *ret_entry);

/* In the call's memory; p == NULL: none left. What is not UTF-8 becomes U+FFFD. */
struct davit_bytes entry_write_metadata(struct davit_call *call, const struct davit_pair *pairs, uint64_t n);

struct entry_metadata {
	json_t *json; /* whose memory the pairs' is */
	struct davit_pair *pairs;
	uint64_t n;
};

/* 0; -1: it is no object of strings. Release it either way. */
int entry_read_metadata(struct davit_bytes text, struct entry_metadata *ret_metadata);
void entry_metadata_release(struct entry_metadata *m);
#endif
