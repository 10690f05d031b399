/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CEL, the Common Expression Language (https://github.com/google/cel-spec), as Dapr uses it in routing rules and in the
 * `trip` of circuit breakers: cel-go's standard library with every name that nobody declared a dynamic variable.
 *
 *	struct cel *rule = cel_compile(arena, STR("event.type == 'order'"), &fault);
 *	if (cel_eval_bool(rule, call, &env, &matches, &error) < 0) …
 *
 * Compiling parses, resolves names and checks types; what it refuses carries its place. An evaluation has no effects but
 * on its arena, which takes the arena's exit when memory ends (arena_on_oom); what goes wrong in it (a missing key, an
 * overflow) is a value that `&&`, `||`, all() and exists() may absorb, and otherwise the evaluation's error.
 *
 * Both are bounded: CEL_TEXT bytes of text, CEL_DEPTH levels of operations and brackets, CEL_STEPS steps of evaluation.
 * Both run on a fiber's stack.
 *
 * Not there: messages (`Type{field: …}`), optional syntax (`.?`), Unicode classes in matches(). See README.md for what
 * differs from cel-go.
 */
#ifndef CEL_CEL_H
#define CEL_CEL_H
#include "base/arena.h"
#include "base/str.h"

#define CEL_TEXT 100000	  /* bytes of an expression */
#define CEL_DEPTH 100	  /* levels of an expression */
#define CEL_STEPS 1000000 /* operations, elements looked at, and blocks of 16 bytes of text, in one evaluation */

enum cel_kind {
	CEL_NULL,
	CEL_BOOL,
	CEL_INT,
	CEL_UINT,
	CEL_DOUBLE,
	CEL_STRING, /* UTF-8 */
	CEL_BYTES,
	CEL_LIST,
	CEL_MAP,
	CEL_TIMESTAMP,
	CEL_DURATION, /* nanoseconds in i */
	CEL_TYPE,     /* its name in s */
	CEL_ERROR     /* a sentence in s */
};

struct cel_list;
struct cel_map;

/*
 * A value. It owns nothing: text, lists and maps live in the arena they were made in and are not changed once an evaluation
 * has seen them, but a list or map made by cel_json() reads itself further when it is looked into, so it belongs to one
 * thread at a time.
 */
struct cel_value {
	enum cel_kind kind;
	uint32_t place; /* of an error: offset in the expression + 1; 0: not known */
	union {
		int b;
		int64_t i;
		uint64_t u;
		double d;
		struct str s;
		struct cel_list *list;
		struct cel_map *map;
		struct {
			int64_t s;	/* since 1970, UTC; from year 1 to 9999 */
			int32_t ns;	/* 0 to 999,999,999 */
			int32_t offset; /* seconds east of UTC that it was written with */
		} time;
	};
};

/*
 * Variables. lookup answers 1 with the value, 0 when there is none of that name (an error where it is used). It is asked at
 * each use: give the value that cel_json() made once for the event, not a new one.
 */
struct cel_env {
	int (*lookup)(void *arg, struct str name, struct cel_value *ret_value);
	void *arg;
};

/* Why and where an expression was refused; line and column count from 1, columns in characters. */
struct cel_fault {
	struct str message; /* in the arena of cel_compile() */
	unsigned line, column;
};

struct cel; /* a compiled expression: immutable, shared by threads */

/* In a, which the text need not outlive. NULL: *ret_fault says why. */
struct cel *cel_compile(struct arena *a, struct str text, struct cel_fault *ret_fault);

/* 0: false when no event can make the result a bool, so that the rule would fail each time; Dapr loads such a rule. */
int cel_may_be_bool(const struct cel *c);

/* 0: *ret_value is 0 or 1; -1: *ret_error (in a) says what went wrong, with its place, or that the result is no bool. */
int cel_eval_bool(const struct cel *c, struct arena *a, const struct cel_env *env, int *ret_value,
		  struct str *ret_error);
/* The same for a result of any kind but CEL_ERROR. */
int cel_eval(const struct cel *c, struct arena *a, const struct cel_env *env, struct cel_value *ret_value,
	     struct str *ret_error);

/* ---- Making values ---- */

static inline struct cel_value cel_null(void)
{
	return (struct cel_value){ .kind = CEL_NULL };
}

static inline struct cel_value cel_bool(int b)
{
	return (struct cel_value){ .kind = CEL_BOOL, .b = b != 0 };
}

static inline struct cel_value cel_int(int64_t i)
{
	return (struct cel_value){ .kind = CEL_INT, .i = i };
}

static inline struct cel_value cel_uint(uint64_t u)
{
	return (struct cel_value){ .kind = CEL_UINT, .u = u };
}

static inline struct cel_value cel_double(double d)
{
	return (struct cel_value){ .kind = CEL_DOUBLE, .d = d };
}

static inline struct cel_value cel_string(struct str s) /* borrowed */
{
	return (struct cel_value){ .kind = CEL_STRING, .s = s };
}

static inline struct cel_value cel_bytes(struct str s) /* borrowed */
{
	return (struct cel_value){ .kind = CEL_BYTES, .s = s };
}

/*
 * What JSON says, numbers as doubles like Dapr's. Objects and arrays are read one level at a time when they are first looked
 * into, with what they hold kept in a: so a must live as long as the value, and text as long as a. Text that is not
 * well-formed is an error when that part of it is looked into.
 */
struct cel_value cel_json(struct arena *a, struct str text);

struct cel_list *cel_list_new(struct arena *a);
void cel_list_add(struct cel_list *l, struct cel_value v);
struct cel_value cel_list_value(struct cel_list *l);

struct cel_map *cel_map_new(struct arena *a);
/* Takes the place of an equal key. -1: a key must be a string, a number, a bool or another scalar; nothing was put. */
int cel_map_put(struct cel_map *m, struct cel_value key, struct cel_value v);
struct cel_value cel_map_value(struct cel_map *m);

/* ---- Reading values ---- */

size_t cel_list_size(struct cel_list *l);
struct cel_value cel_list_get(struct cel_list *l, size_t i); /* i < size */
size_t cel_map_size(struct cel_map *m);
struct cel_value cel_map_key(struct cel_map *m, size_t i); /* in order of insertion, i < size */
struct cel_value cel_map_get(struct cel_map *m, size_t i);
/* 1: found. Keys that are numbers of different kinds and the same value are the same key. */
int cel_map_find(struct cel_map *m, struct cel_value key, struct cel_value *ret_value);
/* NULL: well so far; else why the JSON behind it could not be read, and then it is empty. */
const char *cel_list_fault(struct cel_list *l);
const char *cel_map_fault(struct cel_map *m);

const char *cel_kind_name(enum cel_kind k); /* as type() names it: "int", "google.protobuf.Timestamp" */
#endif
