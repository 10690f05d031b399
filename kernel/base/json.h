/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as a stream of pieces over bytes that stay where they are (RFC 8259): for request bodies, whose values are
 * mostly passed on as they came. Nothing is built and nothing recurses, so depth costs no stack; it is bounded all the
 * same (JSON_DEPTH), since what comes behind us may recurse. Where a tree is wanted use jansson, after json_check().
 *
 *	struct json j = json_read(body);
 *	if (json_enter_object(&j))
 *		while (json_key(&j, arena, &key))
 *			if (str_ieq(key, STR("data"))) data = json_raw(&j); else json_skip(&j);
 *	if (json_end(&j) < 0) … j.error says what and j.at where
 *
 * After a fault every function answers 0 or an empty str, so one check at the end is enough.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define JSON_DEPTH 256

enum json_type { JSON_NOTHING, JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	const char *start, *p, *end;
	const char *error; /* NULL: well so far */
	size_t at;	   /* offset of the fault */
	int first;	   /* no element of the innermost array or object was read yet */
	int depth;
};

struct json json_read(struct str text);
enum json_type json_peek(struct json *j); /* of the next value */
int json_enter_object(struct json *j);	  /* 1: entered; 0: the next value is none (nothing is read) or a fault */
int json_enter_array(struct json *j);
/* The next member's name, unescaped; 0: the object has ended (and is left) or a fault. Then read or skip its value. */
int json_key(struct json *j, struct arena *a, struct str *ret_key);
int json_next(struct json *j); /* 1: another element follows; 0: the array has ended (and is left) or a fault */
struct str json_raw(struct json *j); /* the next value's bytes, checked, borrowed */
void json_skip(struct json *j);
int json_string(struct json *j, struct arena *a, struct str *ret_value); /* 0: not a string; nothing is read then */
int json_end(struct json *j); /* 0: all was read and was well; -1: a fault, or something follows */

int json_check(struct str text); /* 0: one well-formed value, at most JSON_DEPTH deep */
struct str json_unquote(struct arena *a, struct str raw); /* the text of a raw string value; not a string: as it is */
void json_compact(struct buf *b, struct str raw); /* a well-formed value without white space between its pieces */

void json_put(struct buf *b, struct str text); /* a string, quoted, as Go's encoder without HTML escapes */
void json_put_html(struct buf *b, struct str text); /* as encoding/json does by default: < > & escaped as well */
#endif
