/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML as a tree in an arena, over libyaml's events. The tree is immutable. An alias is the anchor's node itself, so a
 * bomb costs no memory; it is counted as if it were copied, and past YAML_NODES, YAML_BYTES or YAML_DEPTH the document
 * is refused, and so are keys that are no text, text with a NUL in it, and tags that the text does not fit.
 */
#ifndef RESOURCES_YAML_H
#define RESOURCES_YAML_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#define YAML_NODES 10000     /* of one document, after aliases */
#define YAML_BYTES (4 << 20) /* of its scalars, after aliases */
#define YAML_DEPTH 100
#define YAML_FILE_MAX (1 << 20) /* bytes of one file */

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };
enum yaml_style { YAML_PLAIN, YAML_QUOTED }; /* quoted: '…', "…", | and > */

/* Dapr reads the two with different libraries, and a plain scalar means something else in each. */
enum yaml_rules {
	YAML_RESOURCE, /* Go's sigs.k8s.io/yaml: yes, on, y are booleans; 0x1f, 017, 1_000, 1e3, ~, .inf as YAML 1.1 */
	YAML_CONFIGURATION, /* Go's yaml.v3: only true and false are; the rest is the same */
};
enum yaml_type { YAML_NULL, YAML_BOOL, YAML_INT, YAML_UINT, YAML_FLOAT, YAML_STRING, YAML_LIST, YAML_MAP };

struct yaml_pair {
	const struct yaml_node *key, *value;
};

struct yaml_node {
	enum yaml_kind kind;
	enum yaml_style style;		/* of a scalar */
	int line, column;		/* from 1, of the file */
	struct str text;		/* of a scalar, as written between its quotes; NUL behind it */
	struct str tag;			/* as resolved, such as "tag:yaml.org,2002:str"; empty: none given */
	size_t n;			/* elements or pairs */
	const struct yaml_node **items; /* of a sequence */
	struct yaml_pair *pairs;	/* of a mapping, in the file's order; a key given twice is here twice */
	size_t nodes, bytes;		/* in this subtree, itself included, aliases counted as copies */
	int depth;			/* of this subtree, 1 for a scalar */
};

struct yaml_fault {	    /* empty message: none */
	int line, column;   /* 0: not known */
	struct str message; /* in the arena that was parsed into */
};

/*
 * The first document in text, whose first line is number `line` of its file. NULL with an empty fault: there is none
 * (blank, or comments only). NULL with a fault: refused. Merge keys (<<) are applied: what a mapping says itself wins.
 */
const struct yaml_node *yaml_parse(struct arena *a, struct str text, int line, struct yaml_fault *ret_fault);

/*
 * Cuts the next document off rest at a line that starts with "---", as Dapr does before any parsing; the rest of that
 * line is dropped. *line counts along. 0: at the end.
 */
int yaml_split(struct str *rest, int *line, struct str *ret_document, int *ret_line);

/* The value of a key; of several the last. NULL: not there, or not a mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);
const struct yaml_node *yaml_iget(const struct yaml_node *mapping, const char *key); /* ASCII case folded */
/* Walks "spec.metadata" down; NULL as soon as something is missing. */
const struct yaml_node *yaml_at(const struct yaml_node *root, const char *path);

struct yaml_value { /* what a scalar means */
	enum yaml_type type;
	int b;
	int64_t i;
	uint64_t u; /* only above INT64_MAX */
	double f;
};
struct yaml_value yaml_resolve(const struct yaml_node *n, enum yaml_rules rules); /* a list, map: only its type */
const char *yaml_type_name(enum yaml_type t); /* "nothing", "a boolean", "a number", "text", "a list", "an object" */

/*
 * The text for a string field. Resources: as Go's decoder turns numbers back into text, so 017 gives "15", 1.0 "1",
 * yes "true". Configuration: as written. Null and what is no scalar: empty.
 */
struct str yaml_text(struct arena *a, const struct yaml_node *n, enum yaml_rules rules);
/* JSON as Go's encoder gives it (keys sorted, < > & escaped). -1: there is none for *ret_at (.inf, .nan). */
int yaml_json(struct arena *a, const struct yaml_node *n, enum yaml_rules rules, struct str *ret_json,
	      const struct yaml_node **ret_at);
/* The shortest decimal that reads back as f: Go's JSON, or with bits 32 its FormatFloat(f, 'g', -1, 32). */
struct str yaml_number(struct arena *a, double f, int bits);
#endif
