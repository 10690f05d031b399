/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as a stream of pieces over bytes that stay where they are (RFC 8259): for request bodies, whose values are
 * mostly passed on as they came. Nothing is built and nothing recurses, so depth costs no stack; it is bounded all the
 * same (JSTREAM_DEPTH), since what comes behind us may recurse. Where a tree is wanted use jansson, after jstream_check().
 *
 *	struct jstream j = jstream_read(body);
 *	if (jstream_enter_object(&j))
 *		while (jstream_key(&j, arena, &key))
 *			if (str_ieq(key, STR("data"))) data = jstream_raw(&j); else jstream_skip(&j);
 *	if (jstream_end(&j) < 0) … j.error says what and j.at where
 *
 * After a fault every function answers 0 or an empty str, so one check at the end is enough.
 */
#ifndef BASE_JSTREAM_H
#define BASE_JSTREAM_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define JSTREAM_DEPTH 256

enum jstream_type {
	JSTREAM_NOTHING,
	JSTREAM_NULL,
	JSTREAM_BOOL,
	JSTREAM_NUMBER,
	JSTREAM_STRING,
	JSTREAM_ARRAY,
	JSTREAM_OBJECT
};

struct jstream {
	const char *start, *p, *end;
	const char *error; /* NULL: well so far */
	size_t at;	   /* offset of the fault */
	int first;	   /* no element of the innermost array or object was read yet */
	int depth;
};

struct jstream jstream_read(struct str text);
enum jstream_type jstream_peek(struct jstream *j); /* of the next value */
int jstream_enter_object(struct jstream *j); /* 1: entered; 0: the next value is none (nothing is read) or a fault */
int jstream_enter_array(struct jstream *j);
/* The next member's name, unescaped; 0: the object has ended (and is left) or a fault. Then read or skip its value. */
int jstream_key(struct jstream *j, struct arena *a, struct str *ret_key);
int jstream_next(struct jstream *j); /* 1: another element follows; 0: the array has ended (and is left) or a fault */
struct str jstream_raw(struct jstream *j); /* the next value's bytes, checked, borrowed */
void jstream_skip(struct jstream *j);
int jstream_string(struct jstream *j, struct arena *a,
		   struct str *ret_value); /* 0: not a string; nothing is read then */
int jstream_end(struct jstream *j);	   /* 0: all was read and was well; -1: a fault, or something follows */

/* What j->error says in the words of Go's decoder, with the character that it met. */
struct str jstream_why(const struct jstream *j, struct arena *a);

int jstream_check(struct str text); /* 0: one well-formed value, at most JSTREAM_DEPTH deep */
struct str jstream_unquote(struct arena *a,
			   struct str raw);	     /* the text of a raw string value; not a string: as it is */
void jstream_compact(struct buf *b, struct str raw); /* a well-formed value without white space between its pieces */
/* As compact, and each string escaped only where it must be; bytes in it that are no UTF-8 become U+FFFD, as in all that
 * is read here. Numbers stay as they came, since more digits than a double has are worth keeping. */
void jstream_normal(struct buf *b, struct arena *a, struct str raw);

void jstream_put(struct buf *b, struct str text);      /* a string, quoted, as Go's encoder without HTML escapes */
void jstream_put_html(struct buf *b, struct str text); /* as encoding/json does by default: < > & escaped as well */
#endif
