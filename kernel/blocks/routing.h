/* SPDX-License-Identifier: Apache-2.0 */
/* A subscription's rules, compiled: which path an event goes to. Immutable, shared by threads. */
#ifndef BLOCKS_ROUTING_H
#define BLOCKS_ROUTING_H
#include "app/topic_event.h"

struct routing;

/* In a; the subscription's texts are borrowed. NULL: *ret_why names the rule, and its place in the file where it has one. */
struct routing *routing_new(struct arena *a, const struct subscription *s, struct str *ret_why);

/* 1: *ret_path; 0: no rule takes it; -1: *ret_why says which rule could not be asked. */
int routing_find(const struct routing *r, struct arena *a, const struct topic_event *e, struct str *ret_path,
		 struct str *ret_why);
#endif
