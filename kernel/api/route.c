/* SPDX-License-Identifier: Apache-2.0 */
#include "api/route.h"

#include "api/access.h"
#include "api/handlers.h"
#include "base/banned.h"

#define GET ROUTE_GET
#define POST ROUTE_POST
#define PUT ROUTE_PUT
#define DELETE ROUTE_DELETE
#define WRITE (ROUTE_POST | ROUTE_PUT)

#define LATER(what) NULL, 0, what " is not part of this version of Davit yet"

/* More special paths stand before those that would take them too. */
const struct route routes[] = {
	{ GET, "v1.0", "state/{store}/{key}", "state", "v1", "GetState", state_http_get, 0, NULL },
	{ WRITE, "v1.0", "state/{store}/bulk", "state", "v1", "GetBulkState", state_http_bulk_get, 0, NULL },
	{ WRITE, "v1.0", "state/{store}/transaction", "state", "v1", "ExecuteStateTransaction", state_http_transact, 0,
	  NULL },
	{ WRITE, "v1.0", "state/{store}", "state", "v1", "SaveState", state_http_save, 0, NULL },
	{ DELETE, "v1.0", "state/{store}/{key}", "state", "v1", "DeleteState", state_http_delete, 0, NULL },
	{ WRITE, "v1.0-alpha1", "state/{store}/query", "state", "v1alpha1", "QueryStateAlpha1", state_http_query, 0,
	  NULL },
	{ GET, "v1.0", "secrets/{store}/bulk", "secrets", "v1", "GetBulkSecret", secrets_http_bulk, 0, NULL },
	{ GET, "v1.0", "secrets/{store}/{key}", "secrets", "v1", "GetSecret", secrets_http_get, 0, NULL },
	{ GET, "v1.0", "metadata", "metadata", "v1", "GetMetadata", metadata_http_get, ROUTE_PUBLIC, NULL },
	{ PUT, "v1.0", "metadata/{key}", "metadata", "v1", "PutMetadata", metadata_http_put, ROUTE_PUBLIC, NULL },
	{ GET, "v1.0", "healthz", "healthz", "v1", "Healthz", health_http_get,
	  ROUTE_ALWAYS | ROUTE_PUBLIC | ROUTE_HEALTH, NULL },
	{ GET, "v1.0", "healthz/outbound", "healthz", "v1", "HealthzOutbound", health_http_outbound,
	  ROUTE_ALWAYS | ROUTE_PUBLIC | ROUTE_HEALTH, NULL },
	{ POST, "v1.0", "shutdown", "shutdown", "v1", "Shutdown", shutdown_http_post, 0, NULL },

	{ WRITE, "v1.0", "publish/bulk/{pubsub}/{topic...}", "publish", "v1", "BulkPublishEvent", pubsub_http_bulk, 0,
	  NULL },
	{ WRITE, "v1.0-alpha1", "publish/bulk/{pubsub}/{topic...}", "publish", "v1alpha1", "BulkPublishEvent",
	  pubsub_http_bulk, 0, NULL },
	{ WRITE, "v1.0", "publish/{pubsub}/{topic...}", "publish", "v1", "PublishEvent", pubsub_http_publish, 0, NULL },
	{ WRITE, "v1.0", "bindings/{name}", "bindings", "v1", "InvokeBinding", LATER("the bindings block") },
	{ GET, "v1.0", "configuration/{store}", "configuration", "v1", "GetConfiguration",
	  LATER("the configuration block") },
	{ GET, "v1.0-alpha1", "configuration/{store}", "configuration", "v1alpha1", "GetConfiguration",
	  LATER("the configuration block") },
	{ GET, "v1.0", "configuration/{store}/{rest...}", "configuration", "v1", "SubscribeConfiguration",
	  LATER("the configuration block") },
	{ GET, "v1.0-alpha1", "configuration/{store}/{rest...}", "configuration", "v1alpha1", "SubscribeConfiguration",
	  LATER("the configuration block") },
	{ ROUTE_ANY, "v1.0", "actors/{type}/{id}/{rest...}", "actors", "v1", "InvokeActor",
	  LATER("the actor runtime") },
	{ ROUTE_ANY, "v1.0", "invoke/{id}/method/{method...}", "invoke", "v1", "InvokeService", invoke_http, 0, NULL },
	{ PUT, "v1.0-alpha1", "crypto/{name}/{rest...}", "crypto", "v1alpha1", "Encrypt",
	  LATER("the cryptography block") },
	{ POST, "v1.0-alpha1", "subtlecrypto/{name}/{rest...}", "subtlecrypto", "v1alpha1", "SubtleCrypto",
	  LATER("the cryptography block") },
	{ POST, "v1.0-alpha1", "lock/{store}", "lock", "v1alpha1", "TryLock", LATER("the lock block") },
	{ POST, "v1.0-alpha1", "unlock/{store}", "unlock", "v1alpha1", "Unlock", LATER("the lock block") },
	{ ROUTE_ANY, "v1.0", "workflows/{component}/{rest...}", "workflows", "v1", "Workflow",
	  LATER("the workflow engine") },
	{ ROUTE_ANY, "v1.0-beta1", "workflows/{component}/{rest...}", "workflows", "v1beta1", "Workflow",
	  LATER("the workflow engine") },
	{ ROUTE_ANY, "v1.0-alpha1", "workflows/{component}/{rest...}", "workflows", "v1alpha1", "Workflow",
	  LATER("the workflow engine") },
	{ ROUTE_ANY, "v1.0", "jobs/{name}", "jobs", "v1", "Job", LATER("the jobs API") },
	{ ROUTE_ANY, "v1.0-alpha1", "jobs/{name}", "jobs", "v1alpha1", "Job", LATER("the jobs API") },
	{ POST, "v1.0-alpha1", "conversation/{name}/converse", "conversation", "v1alpha1", "Converse",
	  LATER("the conversation block") },
	{ POST, "v1.0-alpha2", "conversation/{name}/converse", "conversation", "v1alpha2", "Converse",
	  LATER("the conversation block") },
};
const size_t nroutes = sizeof(routes) / sizeof(routes[0]);

static unsigned method_bit(struct str method)
{
	static const struct {
		const char *name;
		unsigned bit;
	} methods[] = { { "GET", GET }, { "POST", POST }, { "PUT", PUT }, { "DELETE", DELETE } };
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (str_is(method, methods[i].name))
			return methods[i].bit;
	return 0;
}

/* No "//", no segment that begins with a dot, no slash at the end but that of "/". */
static int is_clean(struct str p)
{
	const char *end = p.p + p.n, *at;

	if (p.n == 0 || p.p[0] != '/')
		return 0;
	for (at = p.p; at + 1 < end; at++)
		if (at[0] == '/' && (at[1] == '/' || at[1] == '.'))
			return 0;
	return p.n == 1 || end[-1] != '/';
}

struct str route_clean(struct arena *a, struct str path)
{
	struct str rest = path, part;
	char *out;
	size_t n = 0;

	if (is_clean(path))
		return path;
	out = arena_alloc(a, path.n + 2);
	while (str_split(&rest, '/', &part)) {
		if (part.n == 0 || str_is(part, "."))
			continue;
		if (str_is(part, "..")) {
			while (n > 0 && out[--n] != '/')
				;
			continue;
		}
		out[n++] = '/';
		memcpy(out + n, part.p, part.n);
		n += part.n;
	}
	if (n == 0)
		out[n++] = '/';
	out[n] = '\0';
	return (struct str){ out, n };
}

/* Whether the path, behind its version, fits a pattern. 1: yes, parameters decoded; 0: no; -1: a broken escape. */
static int fits(struct request *r, const char *pattern, struct str path)
{
	struct str want = str_of(pattern), rest = path, w, p, raw[REQUEST_PARAMS];
	size_t n = 0, i;

	while (str_split(&want, '/', &w)) {
		if (w.p[0] == '{' && str_ends(w, STR("...}"))) {
			if (rest.p == NULL)
				return 0;
			raw[n++] = rest;
			rest = STR_NONE;
			break;
		}
		if (!str_split(&rest, '/', &p))
			return 0;
		if (w.p[0] != '{' && !str_eq(w, p))
			return 0;
		if (w.p[0] == '{') {
			if (p.n == 0)
				return 0;
			raw[n++] = p;
		}
	}
	if (rest.p != NULL)
		return 0;
	for (i = 0; i < n; i++)
		if (request_unescape(r->arena, raw[i], &r->params[i]) < 0)
			return -1;
	return 1;
}

const struct route *route_find(struct request *r, struct str method, struct str path, int *ret_broken)
{
	unsigned bit = method_bit(method);
	struct str version, rest;
	size_t i;

	*ret_broken = 0;
	if (bit == 0 || path.n < 2 || !str_cut(str_from(path, 1), '/', &version, &rest))
		return NULL;
	for (i = 0; i < nroutes; i++) {
		const struct route *t = &routes[i];
		int fit;

		/* The first letters decide nearly always, before anything is split. */
		if (!(t->methods & bit) || rest.n == 0 || t->path[0] != rest.p[0] || !str_is(version, t->version))
			continue;
		fit = fits(r, t->path, rest);
		if (fit < 0) {
			*ret_broken = -1;
			return NULL;
		}
		if (fit > 0 && access_http(r->api->access, t))
			return t;
	}
	return NULL;
}

const struct route *route_invoke(void)
{
	size_t i = 0;

	while (strcmp(routes[i].name, "InvokeService") != 0)
		i++;
	return &routes[i];
}
