/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of an HTTP/1 request, and lists of fields: pure functions on bytes. As strict as Go's server or stricter,
 * since whatever stands between a client and us may read a lax request differently than we do.
 */
#ifndef HTTP_H1_HEAD_H
#define HTTP_H1_HEAD_H
#include "base/arena.h"
#include "http/exchange.h"

struct h1_head {
	int minor; /* HTTP/1.minor; more than 1 is 1 */
	struct str method, target, path, query, authority;
	struct http_field *fields;
	size_t nfields;
	int64_t content_length; /* -1: chunked; 0: no body */
	int chunked, expects;	/* Expect: 100-continue */
	int keep_alive;
};

/* How a refused request is answered: 0 is "not refused". */
#define H1_NO_HTTP 1 /* a 400 whose first line is like no request at all */

struct h1_refusal {
	int status;
	const char *text; /* what Go writes behind the status; "" nothing */
};

/* Bytes up to the end of the empty line, 0: it has not come. *scanned (0 at first) saves looking at bytes twice. */
size_t h1_head_end(struct str data, size_t *scanned);
/* bytes: the whole head, in memory of the arena, whose field names are made lower case and to which *h points. */
struct h1_refusal h1_head_parse(struct h1_head *h, char *p, size_t n, struct arena *a);
/* Lines up to the empty one, such as trailers. */
struct h1_refusal h1_fields_parse(char *p, size_t n, struct arena *a, struct http_field **ret_fields, size_t *ret_n);

int h1_is_token(struct str s);
int h1_is_value(struct str s);		  /* no control character but tab */
extern const unsigned char h1_token[256]; /* the lower-case form of what may stand in a name, else 0 */
#endif
