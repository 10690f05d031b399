/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP API call: the exchange, what the router found, and the ways to answer. */
#ifndef API_REQUEST_H
#define API_REQUEST_H
#include "api/api.h"

#define REQUEST_PARAMS 4

struct route;

struct request {
	struct api *api;
	struct http_exchange *x;
	struct arena *arena; /* the exchange's */
	struct scope scope;  /* cancelled when the client leaves */
	struct blocks *blocks;
	struct str path; /* clean, still escaped */
	const struct route *route;
	struct str params[REQUEST_PARAMS]; /* decoded, in the order of the route's braces */
	struct trace_span *span;
	struct http_field extra[24]; /* fields of the reply: request_field() */
	size_t nextra;
};

/* The first value of a query parameter, decoded; p == NULL: not there. */
struct str request_query(struct request *r, const char *name);
/* The metadata.* parameters of the query, without the prefix, in arena. Sets n. */
const struct davit_pair *request_metadata(struct request *r, size_t *ret_n);
/* Given over what stands: same keys in `over` win. */
const struct davit_pair *request_merge(struct request *r, const struct davit_pair *under, size_t nunder,
				       const struct davit_pair *over, size_t nover, size_t *ret_n);
/* The body, at most the limit. 0: an error was answered or the client has gone: return. */
int request_body(struct request *r, struct str *ret_body);
/* For a body that is only read as text (PUT metadata): a failure is ERR_BODY_READ. */
int request_raw_body(struct request *r, struct str *ret_body);

void request_field(struct request *r, const char *name, struct str value); /* of the reply; name is lower case */
void request_json(struct request *r, int status, struct str body);
void request_empty(struct request *r); /* 204 */
void request_fail(struct request *r, const struct error *e);
void request_refuse_escape(struct request *r); /* 400: a broken escape or a NUL in the path */
/* A failure of the request itself: 400 ERR_MALFORMED_REQUEST. */
void request_malformed(struct request *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Go's QueryUnescape: %XX and + as a space. -1: a broken escape or a NUL. */
int request_unescape(struct arena *a, struct str s, struct str *ret_text);
#endif
