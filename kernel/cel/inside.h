/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of this room hand on to each other: text to nodes (lex, parse), nodes with types (check), values (eval). */
#ifndef CEL_INSIDE_H
#define CEL_INSIDE_H
#include "base/regex.h"
#include "cel/cel.h"

struct cel_eval;
struct cel_node;
struct cel_type;
struct cel_zone;

/* ---- Functions and operators: functions.c ---- */

#define CEL_ARGS 3 /* at most, a receiver included */

struct cel_call {
	const struct cel_node *node;
	size_t n;
	struct cel_value args[CEL_ARGS]; /* none of them an error */
};

/*
 * Overloads as the checker reads them: "ss>b .ss>b" takes two strings and gives a bool, as a function and as a member. Letters
 * are b i u d s, y bytes, t timestamp, r duration, L list(A), M map(A, B), A, B, D dyn, T type(A).
 */
struct cel_function {
	const char *name; /* operators: as written, "-x" the negation, "[]" and "?:" */
	const char *overloads;
	struct cel_value (*run)(struct cel_eval *e, const struct cel_call *c);
};

const struct cel_function *cel_function_named(struct str name); /* NULL: there is none. Operators are not found. */
const struct cel_function *cel_operator(const char *name);	/* one that is there */
struct str cel_function_text(const struct cel_function *f);	/* as one writes it */

/* ---- Nodes: parse.c ---- */

enum cel_node_kind {
	NODE_LITERAL,
	NODE_NAME,     /* until the checker knows what it names */
	NODE_VARIABLE, /* from the environment */
	NODE_LOCAL,    /* of a fold around it */
	NODE_SELECT,   /* first.name */
	NODE_HAS,      /* has(first.name) */
	NODE_CALL,
	NODE_LIST,
	NODE_MAP, /* key, value, key, value, … */
	NODE_AND,
	NODE_OR,
	NODE_IF,
	NODE_FOLD /* a range, a condition or NULL, a result or NULL */
};

enum cel_fold { FOLD_ALL, FOLD_EXISTS, FOLD_EXISTS_ONE, FOLD_FILTER, FOLD_MAP, FOLD_MAP_IF };

struct cel_node {
	enum cel_node_kind kind;
	enum cel_fold fold;
	uint32_t place; /* offset in the text: of an operator's sign, of a call's '(' */
	uint16_t height;
	uint16_t slot; /* of a local */
	uint32_t nargs;
	int member; /* called as a member: the first argument stood before the point */
	struct cel_node *first, *last, *next;
	struct str name; /* of a name, a field, a function, a fold's variable */
	struct cel_value literal;
	const struct cel_function *function;
	const struct regex *regex;   /* of matches() with a literal pattern */
	const struct cel_zone *zone; /* of a timestamp's member with a literal zone */
	struct str broken;	     /* why one of these two is not there though it is a literal */
};

struct cel {
	struct str text;
	struct cel_node *root;
	size_t nlocals;
	int may_be_bool;
};

/* ---- Text to nodes: lex.c, literal.c, parse.c ---- */

enum cel_token_kind {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_INT,
	TOKEN_UINT,
	TOKEN_DOUBLE,
	TOKEN_STRING,
	TOKEN_BYTES,
	TOKEN_TRUE,
	TOKEN_FALSE,
	TOKEN_NULL,
	TOKEN_IN,
	TOKEN_EQUAL,
	TOKEN_NOT_EQUAL,
	TOKEN_LESS,
	TOKEN_LESS_EQUAL,
	TOKEN_GREATER,
	TOKEN_GREATER_EQUAL,
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_LEFT_SQUARE,
	TOKEN_RIGHT_SQUARE,
	TOKEN_LEFT_CURLY,
	TOKEN_RIGHT_CURLY,
	TOKEN_LEFT_ROUND,
	TOKEN_RIGHT_ROUND,
	TOKEN_POINT,
	TOKEN_COMMA,
	TOKEN_MINUS,
	TOKEN_NOT,
	TOKEN_QUESTION,
	TOKEN_COLON,
	TOKEN_PLUS,
	TOKEN_STAR,
	TOKEN_SLASH,
	TOKEN_PERCENT
};

struct cel_token {
	enum cel_token_kind kind;
	struct str text; /* borrowed from the source */
	uint32_t place;
};

/* The first fault counts; after it the token is TOKEN_END for good. */
struct cel_parser {
	struct arena *a;
	struct str text;
	size_t at; /* behind the token */
	struct cel_token token;
	int depth; /* of brackets */
	int right; /* of operands to the right of an operator */
	int failed;
	uint32_t fault_place;
	struct str fault;
};

void *cel_refuse(struct cel_parser *p, uint32_t place, const char *fmt, ...)
	__attribute__((format(printf, 3, 4))); /* NULL */
void cel_next(struct cel_parser *p);	       /* reads p->token */

/* Values of tokens; 0, or -1 after cel_refuse(). */
int cel_literal_number(struct cel_parser *p, struct cel_token t, int negative, struct cel_value *ret_value);
int cel_literal_text(struct cel_parser *p, struct cel_token t, struct cel_value *ret_value);

struct cel_node *cel_parse(struct cel_parser *p); /* NULL after cel_refuse() */

/* ---- Types: check.c ---- */

/* Resolves names, types and literal patterns. 0; -1 after cel_refuse(). */
int cel_check(struct cel_parser *p, struct cel *c);

/* ---- Evaluation: eval.c ---- */

struct cel_eval {
	struct arena *a;
	const struct cel *cel;
	const struct cel_env *env;
	int64_t left; /* steps; below 0: over */
	struct cel_value *locals;
	struct cel_pair *pairs; /* of cel_equal() */
	size_t npairs, cappairs;
};

struct cel_value cel_error(struct cel_eval *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct cel_value cel_no_overload(struct cel_eval *e, const struct cel_call *c);
/* Takes n steps; 0: there are not so many left, and *ret_error says so. */
int cel_spend(struct cel_eval *e, size_t n, struct cel_value *ret_error);
#define CEL_SPEND_BYTES(n) ((n) / 16 + 1)

/* first.name or first[key]. For has(): whether it is there. */
struct cel_value cel_get(struct cel_eval *e, struct cel_value of, struct cel_value key);
struct cel_value cel_has(struct cel_eval *e, struct cel_value of, struct cel_value key);
struct cel_value cel_in(struct cel_eval *e, struct cel_value v, struct cel_value of);

/* ---- Values: value.c ---- */

/* Deep equality; numbers of different kinds by their value. Out of steps: 0, which the evaluation sees by itself. */
int cel_equal(struct cel_eval *e, struct cel_value a, struct cel_value b);
/* 0: *ret_order is below, 0 or above 0; -1: of these kinds there is no order; -2: of a NaN there is none. */
int cel_compare(struct cel_value a, struct cel_value b, int *ret_order);
int cel_key_is(struct cel_value a, struct cel_value b); /* as keys of a map: same kind, same value */
int cel_double_to_int(double d, int64_t *ret_value);	/* towards 0; -1: it does not fit */
int cel_double_to_uint(double d, uint64_t *ret_value);
const char *cel_name_of(struct cel_value v);			/* of its kind, for messages */
struct str cel_key_text(struct arena *a, struct cel_value key); /* for messages */

/* ---- Numbers and time in text: convert.c, time.c, zone.c ---- */

struct str cel_double_text(struct arena *a, double d);	/* as Go's %g */
struct str cel_double_plain(struct arena *a, double d); /* digits and a point, no exponent */
int cel_double_parse(struct arena *a, struct str s,
		     double *ret_value); /* as Go's ParseFloat; -1: it is none or too large */

#define CEL_TIME_MIN INT64_C(-62135596800)		       /* year 1 */
#define CEL_TIME_MAX INT64_C(253402300799)		       /* the end of year 9999 */
int cel_time_parse(struct str s, struct cel_value *ret_value); /* RFC 3339 as Go reads it; -1: none, -2: out of range */
struct str cel_time_text(struct arena *a, struct cel_value t);
struct cel_value cel_time_add(struct cel_eval *e, struct cel_value t, int64_t ns, int minus);
struct cel_value cel_time_subtract(struct cel_eval *e, struct cel_value a, struct cel_value b);

enum cel_field {
	FIELD_YEAR,
	FIELD_MONTH,
	FIELD_DAY_OF_YEAR,
	FIELD_DAY_OF_MONTH,
	FIELD_DATE,
	FIELD_DAY_OF_WEEK,
	FIELD_HOURS,
	FIELD_MINUTES,
	FIELD_SECONDS,
	FIELD_MILLISECONDS
};
int64_t cel_time_field(struct cel_value t, int32_t offset, enum cel_field f);

/* A zone named as in the system's database, or "+01:00". NULL: *ret_why says why not. Reads a file: not for a loop. */
const struct cel_zone *cel_zone_named(struct arena *a, struct str name, struct str *ret_why);
int32_t cel_zone_offset(const struct cel_zone *z, int64_t s); /* seconds east of UTC at that time */

#endif
