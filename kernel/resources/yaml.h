/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML as a tree in an arena, over libyaml's events. The tree is immutable. An alias is the anchor's node itself, so a
 * bomb costs no memory; it is counted as if it were copied, and past YAML_NODES or YAML_DEPTH the document is refused.
 *
 * Plain scalars mean what Go's sigs.k8s.io/yaml makes of them (YAML 1.1: yes, on, 0x1f, 017, 1_000, 1e3, ~, .inf), which
 * is what Dapr reads resources with.
 */
#ifndef RESOURCES_YAML_H
#define RESOURCES_YAML_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#define YAML_NODES 10000	/* of one document, after aliases and merges */
#define YAML_DEPTH 100
#define YAML_FILE_MAX (1 << 20) /* bytes of one file */

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };
enum yaml_style { YAML_PLAIN, YAML_QUOTED }; /* quoted: '…', "…", | and > */
enum yaml_type { YAML_NULL, YAML_BOOL, YAML_INT, YAML_UINT, YAML_FLOAT, YAML_STRING, YAML_LIST, YAML_MAP };

struct yaml_pair {
	const struct yaml_node *key, *value;
};

struct yaml_node {
	enum yaml_kind kind;
	enum yaml_style style;	     /* of a scalar */
	int line, column;	     /* from 1, of the file */
	struct str text;	     /* of a scalar, as written between its quotes; NUL behind it */
	struct str tag;		     /* as resolved, such as "tag:yaml.org,2002:str"; empty: none given */
	size_t n;		     /* elements or pairs */
	const struct yaml_node **items; /* of a sequence */
	struct yaml_pair *pairs;     /* of a mapping, in the file's order; a key given twice is here twice */
	size_t nodes;		     /* in this subtree, itself included, aliases counted as copies */
	int depth;		     /* of this subtree, 1 for a scalar */
};

struct yaml_fault { /* empty message: none */
	int line, column; /* 0: not known */
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
struct yaml_value yaml_resolve(const struct yaml_node *n); /* never faults; a list or map gives only its type */
const char *yaml_type_name(enum yaml_type t); /* "null", "boolean", "number", "string", "list", "object" */

/* The string that Go's decoder puts into a string field: 017 gives "15", 1.0 "1", yes "true", null "". */
struct str yaml_text(struct arena *a, const struct yaml_node *n);
/* JSON text as Go's encoder gives it (keys sorted, < > & escaped). -1: no JSON for it (.inf, .nan), ret_at is the node. */
int yaml_json(struct buf *b, const struct yaml_node *n, const struct yaml_node **ret_at);
#endif
