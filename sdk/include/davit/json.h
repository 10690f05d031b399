/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/json.h - reading JSON where it lies, and writing texts into it. A helper of libdavit-sdk.a, not of the line. For the answer
 * of a service and the like: nothing is allocated, and looking for a member reads the object once. A plugin that
 * builds or changes documents wants a library (jansson).
 *
 *	struct davit_json root, token;
 *	char text[4096];
 *
 *	if (davit_json_parse(body, n, &root) == 0 && davit_json_member(root, "access_token", &token) &&
 *	    davit_json_text(token, text, sizeof(text)) < sizeof(text))
 */
#ifndef DAVIT_JSON_H
#define DAVIT_JSON_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAVIT_JSON_DEPTH 512 /* arrays and objects that may lie in each other */

enum davit_json_kind {
	DAVIT_JSON_NULL,
	DAVIT_JSON_FALSE,
	DAVIT_JSON_TRUE,
	DAVIT_JSON_NUMBER,
	DAVIT_JSON_TEXT,
	DAVIT_JSON_ARRAY,
	DAVIT_JSON_OBJECT
};

/* A value: the part of the caller's text that it is, quotes and brackets included. Good as long as that text. */
struct davit_json {
	enum davit_json_kind kind;
	const char *p;
	size_t n;
};

/* The whole text is one value, by RFC 8259 and in UTF-8: 0; -1: it is not, or deeper than DAVIT_JSON_DEPTH. Everything below
 * takes what came out of this. */
int davit_json_parse(const char *text, size_t n, struct davit_json *ret_value);

/* The member of this name (escapes in the document are read as what they mean); the last one if there are several, as Go
 * reads it. 0: there is none, or it is no object. */
int davit_json_member(struct davit_json object, const char *name, struct davit_json *ret_value);

/*
 * One element of an array or member of an object after the other: 1, or 0 at the end and for anything else. *place is 0 to begin
 * with. ret_name may be NULL; for an array it is not written.
 */
int davit_json_next(struct davit_json of, size_t *place, struct davit_json *ret_name, struct davit_json *ret_value);

/* What a text says, in UTF-8, and a NUL behind it; as much as there is room for. Returns the bytes it has in all, without that NUL:
 * as many as size, or more, are cut off. A half of a surrogate pair is U+FFFD. Of other kinds it is what is written. */
size_t davit_json_text(struct davit_json value, char *buf, size_t size);
int davit_json_is(struct davit_json value, const char *text); /* a text that says just this */

/* A number without fraction and exponent that fits: 0; -1. */
int davit_json_integer(struct davit_json value, int64_t *ret_number);

/* n bytes of UTF-8 as a text in JSON, with its quotes and a NUL behind them. Returns as davit_json_text. What is not UTF-8 becomes
 * U+FFFD. */
size_t davit_json_quote(const char *p, size_t n, char *buf, size_t size);

/* How deep arrays and objects nest: 0 for a scalar. Says nothing about whether it is JSON. */
size_t davit_json_depth(const char *text, size_t n);

#ifdef __cplusplus
}
#endif
#endif
