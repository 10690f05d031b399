/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that decode a YAML tree into a struct. A kind of resource is one table per object: to add a kind write its
 * struct, its tables, and one line in load.c.
 *
 *	static const struct field widget_fields[] = {
 *		FIELD("name", FIELD_STR, struct widget, name),
 *		FIELD_SUB("owner", struct widget, owner, owner_fields),
 *		FIELD_END,
 *	};
 */
#ifndef RESOURCES_FIELD_H
#define RESOURCES_FIELD_H
#include "resources/yaml.h"

struct strs {
	size_t n;
	struct str *p;
};

struct ints {
	size_t n;
	int64_t *p;
};

struct pairs { /* a map of strings, sorted by key */
	size_t n;
	struct error_pair *p;
};

#define DURATION_NONE INT64_MIN /* a duration that was not given */
#define UNSET (-1)		/* a FIELD_OPTIONAL_BOOL that was not given */

enum field_type {
	FIELD_STR,	      /* struct str */
	FIELD_BOOL,	      /* int: 0, 1 */
	FIELD_OPTIONAL_BOOL,  /* int: UNSET, 0, 1 */
	FIELD_INT32,	      /* int32_t */
	FIELD_OPTIONAL_INT32, /* the same, and a configuration's null makes it 0 */
	FIELD_DURATION,	      /* int64_t nanoseconds, DURATION_NONE when null */
	FIELD_STRS,	      /* struct strs */
	FIELD_INTS,	      /* struct ints */
	FIELD_PAIRS,	      /* struct pairs */
	FIELD_JSON,	      /* struct str: any value as JSON; p NULL: none or null */
	FIELD_NODE,	      /* const struct yaml_node *: any value as it is */
	FIELD_LINE,	      /* int: the line of the object that has this table, 0: it was not given; its name is "" */
	FIELD_IGNORED,	      /* a key that Dapr knows and nothing here reads */
	FIELD_OBJECT,	      /* a struct, in place; sub tells its fields */
	FIELD_PART,	      /* the same, and a configuration's null leaves it as it is */
	FIELD_POINTER,	      /* a pointer to a struct, NULL when absent; sub, size */
	FIELD_OBJECTS,	      /* a pointer to an array of structs, its count (size_t) at `count`; sub, size */
	FIELD_NAMED,	      /* the same of an object's members: each struct begins with the name, a struct str */
};

struct field {
	const char *name; /* the key; NULL: the end of the table */
	enum field_type type;
	uint32_t offset, count, size;
	const struct field *sub;
};

/* clang-format off */
/* INLINE: an object whose fields are the owner's own members. */
#define FIELD(name, type, owner, member) { name, type, offsetof(owner, member), 0, 0, NULL }
#define FIELD_SUB(name, owner, member, sub) \
	{ name, FIELD_OBJECT, offsetof(owner, member), 0, sizeof(((owner *)0)->member), sub }
#define FIELD_INLINE(name, sub) { name, FIELD_OBJECT, 0, 0, 0, sub }
#define FIELD_PART_INLINE(name, sub) { name, FIELD_PART, 0, 0, 0, sub }
#define FIELD_PTR(name, owner, member, sub) \
	{ name, FIELD_POINTER, offsetof(owner, member), 0, sizeof(*((owner *)0)->member), sub }
#define FIELD_ARRAY(name, owner, member, counter, sub) \
	{ name, FIELD_OBJECTS, offsetof(owner, member), offsetof(owner, counter), sizeof(*((owner *)0)->member), sub }
#define FIELD_MAP(name, owner, member, counter, sub) \
	{ name, FIELD_NAMED, offsetof(owner, member), offsetof(owner, counter), sizeof(*((owner *)0)->member), sub }
#define FIELD_KNOWN(name) { name, FIELD_IGNORED, 0, 0, 0, NULL }
#define FIELD_END { NULL, FIELD_STR, 0, 0, 0, NULL }
/* clang-format on */

/*
 * The rules are those of Dapr's two decoders. YAML_RESOURCE: keys in any case, the last of two equal keys wins, a
 * number fits a string, null changes nothing. YAML_CONFIGURATION: exact keys, two equal keys are refused, null takes
 * away what stood, text goes in as written; objects merge into what stands, lists replace it.
 */
struct field_report {
	struct arena *arena; /* for values and messages */
	enum yaml_rules rules;
	const char *file;    /* named in each problem; NULL: only the line is */
	struct buf problems; /* buf_in(arena); one line each; empty: all well. Never holds a value of a string field */
	size_t nproblems;
	void (*unknown)(void *arg, const char *path,
			const struct yaml_node *key); /* a key in no table; NULL: ignored */
	void *arg;
};

void field_defaults(const struct field *fields, void *object); /* empty, 0, UNSET, DURATION_NONE */
/*
 * Decodes node (a mapping) into object, which holds its defaults. 0; -1: report->problems says which field, where, why
 * and what to write; the object is then half done.
 */
int field_decode(struct field_report *report, const struct field *fields, const struct yaml_node *node, void *object);
/* Adds a problem of the caller's own: path as "spec.initTimeout". */
void field_problem(struct field_report *report, const struct yaml_node *at, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
#endif
