/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routes of the HTTP API as a table (facts/http-api.tsv), and the path of a request made canonical, once, for all that
 * look at it: "//" and dot segments are gone, each parameter is decoded once.
 */
#ifndef API_ROUTE_H
#define API_ROUTE_H
#include "api/request.h"

enum { ROUTE_GET = 1, ROUTE_POST = 2, ROUTE_PUT = 4, ROUTE_DELETE = 8, ROUTE_ANY = 15 };

enum { ROUTE_ALWAYS = 1 /* no allow list hides it */, ROUTE_PUBLIC = 2 /* on the public port too */, ROUTE_HEALTH = 4 };

struct route {
	unsigned methods;
	const char *version; /* "v1.0" */
	const char *path;    /* "state/{store}/{key}"; "{rest...}" at the end takes all that follows */
	const char *group;   /* of the allow list: "state", "v1" … */
	const char *group_version;
	const char *name; /* Dapr's endpoint name */
	void (*handle)(struct request *r);
	unsigned flags;
	const char *missing; /* instead of handle: what is not there yet */
};

/* Go's path.Clean on an escaped path, in arena a; "/" at least. */
struct str route_clean(struct arena *a, struct str path);
/* The route of a method and clean path, its parameters decoded into r->params. NULL: none. -1 in *ret_broken: a parameter's
 * escape is broken. */
const struct route *route_find(struct request *r, struct str method, struct str path, int *ret_broken);

/* The one that takes what no other does. */
const struct route *route_invoke(void);

extern const struct route routes[];
extern const size_t nroutes;
#endif
