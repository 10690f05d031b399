/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types as the checker knows them: unification as the language definition describes it ("gradual type checking"), with the
 * order of trials and the treatment of null that cel-go has, so that an expression loads here when it loads there.
 */
#ifndef CEL_TYPE_H
#define CEL_TYPE_H
#include "cel/inside.h"

struct cel_type {
	char kind; /* as in struct cel_function, and n null, V a variable; A, B and the like are never left in one */
	uint32_t variable;
	struct cel_type *of[2]; /* of a list; key and value of a map */
};

struct cel_types {
	struct cel_parser *p;
	struct cel_type **bound; /* by variable; NULL: it may still be anything */
	size_t nbound, capbound;
	struct {
		uint32_t variable;
		struct cel_type *before;
	} * undo;
	size_t nundo, capundo;
	int steps, depth; /* bounded: types can grow in powers of two */
};

struct cel_type *cel_type_of(struct cel_types *c, char kind); /* of a scalar, dyn or type */
struct cel_type *cel_type_list(struct cel_types *c, struct cel_type *of);
struct cel_type *cel_type_map(struct cel_types *c, struct cel_type *key, struct cel_type *value);
struct cel_type *cel_type_variable(struct cel_types *c); /* a new one */

int cel_type_is_dyn(const struct cel_type *t);
int cel_type_same(struct cel_types *c, const struct cel_type *a, const struct cel_type *b);
/* 1: b fits where a is wanted, and variables are bound so that it does; 0: nothing was changed. */
int cel_type_fits(struct cel_types *c, struct cel_type *const *a, struct cel_type *const *b, size_t n);
/* Of two that fit, the one that says less. */
struct cel_type *cel_type_general(struct cel_types *c, struct cel_type *a, struct cel_type *b);
/* With what its variables are bound to; free ones stay, or become dyn. */
struct cel_type *cel_type_resolve(struct cel_types *c, struct cel_type *t, int free_to_dyn);
struct str cel_type_text(struct cel_types *c, struct cel_type *t);

#endif
