/* SPDX-License-Identifier: Apache-2.0 */
#include "api/access.h"

#include "api/route.h"
#include "base/banned.h"

struct rule {
	struct str name, version;
	int http, grpc;
};

struct api_access {
	size_t nallowed, ndenied;
	int any_grpc; /* some allow rule is for gRPC */
	int any_http;
	const struct rule *allowed, *denied;
};

static const struct rule *read_rules(struct arena *a, const struct configuration_api *list, size_t n)
{
	struct rule *r = arena_alloc(a, sizeof(*r) * (n + 1));
	size_t i;

	for (i = 0; i < n; i++)
		r[i] = (struct rule){ list[i].name, list[i].version, str_ieq(list[i].protocol, STR("http")),
				      str_is(list[i].protocol, "grpc") };
	return r;
}

const struct api_access *access_new(struct arena *a, const struct configuration *c)
{
	struct api_access *x = arena_zalloc(a, sizeof(*x));
	size_t i;

	x->nallowed = c->napi_allowed;
	x->ndenied = c->napi_denied;
	x->allowed = read_rules(a, c->api_allowed, c->napi_allowed);
	x->denied = read_rules(a, c->api_denied, c->napi_denied);
	for (i = 0; i < x->nallowed; i++) {
		x->any_grpc |= x->allowed[i].grpc;
		x->any_http |= x->allowed[i].http;
	}
	return x;
}

/* A rule names a group ("state", "v1"), or as it once was the beginning of a path ("state", "v1.0"). */
static int names_route(const struct rule *r, const struct route *t)
{
	struct str path = str_of(t->path);

	if (!r->http)
		return 0;
	if (str_is(r->name, t->group) && str_is(r->version, t->group_version))
		return 1;
	return str_is(r->version, t->version) && str_starts(path, r->name);
}

int access_http(const struct api_access *x, const struct route *t)
{
	size_t i;

	if ((x->nallowed == 0 && x->ndenied == 0) || (t->flags & ROUTE_ALWAYS))
		return 1;
	for (i = 0; i < x->ndenied; i++)
		if (names_route(&x->denied[i], t))
			return 0;
	for (i = 0; i < x->nallowed; i++)
		if (names_route(&x->allowed[i], t))
			return 1;
	return !x->any_http;
}

static int names_group(const struct rule *r, const char *group, const char *version)
{
	return r->grpc && group != NULL && str_is(r->name, group) && str_is(r->version, version);
}

int access_grpc(const struct api_access *x, const char *group, const char *version)
{
	size_t i;

	for (i = 0; i < x->ndenied; i++)
		if (names_group(&x->denied[i], group, version))
			return 0;
	for (i = 0; i < x->nallowed; i++)
		if (names_group(&x->allowed[i], group, version))
			return 1;
	return !x->any_grpc;
}
