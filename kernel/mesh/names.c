/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/names.h"

#include <arpa/inet.h>
#include <davit/names.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/jstream.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/fiber.h"
#include "mesh/addresses.h"
#include "plugin/call.h"
#include "plugin/instance.h"
#include "telemetry/metrics.h"

#define LOG_SCOPE "dapr.runtime"
#define OPEN_MS 10000
#define TRIES 5 /* where a component answers nothing at all, 100 ms apart */

struct names {
	struct arena *arena;
	struct names_options o;
	struct instance *instance;
	const struct davit_names_ops *ops;
	struct str host;
	struct str missing;	 /* why there is no instance */
	struct addresses *known; /* NULL: there was no memory, and each call asks */
};

/* Of a route nothing is sent, it is only looked up. */
struct str names_find_host(struct arena *a)
{
	const char *given = getenv("DAPR_HOST_IP");
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(80) }, from;
	socklen_t n = sizeof(from);
	char text[INET_ADDRSTRLEN] = "127.0.0.1";
	int fd;

	if (given != NULL && given[0] != '\0')
		return arena_str(a, str_of(given));
	inet_pton(AF_INET, "8.8.8.8", &to.sin_addr);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&from, &n) == 0)
		inet_ntop(AF_INET, &from.sin_addr, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	return arena_str(a, str_of(text));
}

/* Configuration's object as properties: text as it is, all else as JSON writes it. */
static size_t properties(struct arena *a, struct str json, const struct davit_pair **ret)
{
	struct jstream j = jstream_read(json);
	struct davit_pair *list = NULL;
	struct str key, value;
	size_t n = 0, cap = 0;

	*ret = NULL;
	if (json.p == NULL || !jstream_enter_object(&j))
		return 0;
	while (jstream_key(&j, a, &key)) {
		if (jstream_peek(&j) == JSTREAM_STRING)
			jstream_string(&j, a, &value);
		else
			value = arena_str(a, jstream_raw(&j));
		if (n == cap) {
			list = arena_grow(a, list, cap * sizeof(*list), (cap + 8) * sizeof(*list));
			cap += 8;
		}
		list[n++] = (struct davit_pair){ { key.p, key.n }, { value.p, value.n } };
	}
	*ret = list;
	return n;
}

static int is_local(struct str address)
{
	return str_is(address, "127.0.0.1") || str_is(address, "localhost") || str_is(address, "[::1]");
}

static struct error announce(struct names *n, struct arena *a)
{
	struct davit_name_entry *in = arena_alloc(a, sizeof(*in));
	struct str host = is_local(n->o.listen) ? n->o.listen : n->host;
	struct scope s = { .arena = a, .deadline_ns = clock_ns() + OPEN_MS * INT64_C(1000000) };
	struct answer got;

	if (n->ops->announce == NULL)
		return ERROR_NONE;
	if (str_is(host, "[::1]"))
		host = STR("::1");
	*in = (struct davit_name_entry)DAVIT_INIT(davit_name_entry, .app_id = { n->o.app_id.p, n->o.app_id.n },
						  .name_space = { n->o.name_space.p, n->o.name_space.n },
						  .host = { host.p, host.n }, .port = (uint32_t)n->o.port);
	got = call_instance(&s, n->instance, (davit_op *)(void *)n->ops->announce, in);
	return got.status == DAVIT_OK ? ERROR_NONE : error_new(a, got.status, NULL, STR_FMT, STR_ARG(got.message));
}

static struct error open_it(struct names *n, struct component_type *t, struct str name, struct arena *a)
{
	const struct configuration *c = n->o.configuration;
	struct instance_options i = { .type = t,
				      .name = name,
				      .app_id = n->o.app_id,
				      .name_space = n->o.name_space,
				      .loops = n->o.loops,
				      .nloops = n->o.nloops,
				      .timeout_ms = OPEN_MS };
	struct error e = ERROR_NONE;

	i.nprops = properties(n->arena, c->name_resolution.configuration, &i.props);
	n->instance = instance_open(n->arena, &i, &e);
	if (n->instance == NULL)
		return e;
	n->ops = t->ops;
	e = announce(n, a);
	if (error_is(&e)) {
		instance_close(n->instance, OPEN_MS);
		n->instance = NULL;
	}
	return e;
}

/*
 * As in Dapr, a resolver that is missing or does not open keeps nobody from serving: this sidecar finds no other, and says so
 * when it is asked to. It is an error where the resolver was asked for, not where it is only the default and, say, no interface
 * has multicast.
 */
static struct names *without(struct names *n, const char *word, const char *what, struct str log_name, struct str why)
{
	n->missing = arena_printf(n->arena, "name resolver not initialized: " STR_FMT, STR_ARG(why));
	if (n->o.configuration->name_resolution.component.n == 0)
		log_warn("No name resolution, so that other applications cannot be found: " STR_FMT ": " STR_FMT,
			 STR_ARG(log_name), STR_ARG(why));
	else
		log_error("[%s]: %s error occurred for " STR_FMT ": " STR_FMT, word, what, STR_ARG(log_name),
			  STR_ARG(why));
	return n;
}

struct names *names_open(const struct names_options *o)
{
	struct str name = o->configuration->name_resolution.component,
		   version = o->configuration->name_resolution.version;
	struct arena *own = arena_new();
	struct registry_wish wish;
	struct component_type *t;
	struct str log_name, why;
	struct names *n;
	struct error e;

	if (own == NULL)
		return NULL;
	n = arena_zalloc(own, sizeof(*n));
	n->arena = own;
	n->o = *o;
	n->host = names_find_host(own);
	n->known = addresses_new(o->loops, o->nloops);
	if (name.n == 0)
		name = STR("mdns");
	if (version.n == 0)
		version = STR("v1");
	log_name = arena_printf(own, "nr (" STR_FMT "/" STR_FMT ")", STR_ARG(name), STR_ARG(version));
	wish = (struct registry_wish){ .type = arena_printf(own, "nameresolution." STR_FMT, STR_ARG(name)),
				       .version = version,
				       .min_tier = o->min_tier };
	t = registry_find(o->registry, &wish, own, &why);
	if (t == NULL || registry_load(o->registry, t, own, &why) < 0) {
		metrics_component_init_failed(o->metrics, STR("nameResolution"), STR("creation"), name);
		return without(n, "CREATE_COMPONENT_FAILURE", "creation", log_name, why);
	}
	if (str_is(t->about->status, "alpha") || str_is(t->about->status, "beta"))
		log_warn("Name resolution " STR_FMT " has status " STR_FMT ": it is not supported for production",
			 STR_ARG(log_name), STR_ARG(t->about->status));
	e = open_it(n, t, name, own);
	if (error_is(&e)) {
		metrics_component_init_failed(o->metrics, STR("nameResolution"), STR("init"), name);
		return without(n, "INIT_COMPONENT_FAILURE", "initialization", log_name, e.message);
	}
	log_info("Initialized name resolution to " STR_FMT, STR_ARG(name));
	return n;
}

int names_close(struct names *n, int within_ms)
{
	if (n == NULL)
		return 0;
	if (n->instance != NULL && instance_close(n->instance, within_ms) < 0)
		return -1; /* it may still read what it was given */
	addresses_free(n->known);
	arena_unref(n->arena);
	return 0;
}

struct str names_host(const struct names *n)
{
	return n->host;
}

/* Remembers what came, and takes the first: a component emits in an order of its own. */
static int pick(struct names *n, struct str key, const struct answer *got, struct scope *s, struct str *ret_address)
{
	struct str list[ADDRESSES_EACH];
	const struct record *r;
	size_t count = 0;

	for (r = got->records; r != NULL && count < ADDRESSES_EACH; r = r->next) {
		const struct davit_name_address *found = r->data;

		if (r->kind == davit_name_address_kind && found->address.n > 0)
			list[count++] = (struct str){ found->address.p, found->address.n };
	}
	if (count == 0)
		return 0;
	if (n->known != NULL)
		addresses_put(n->known, key, list, count);
	*ret_address = arena_str(s->arena, list[0]);
	return 1;
}

static struct str key_of(struct arena *a, struct str app_id, struct str name_space)
{
	return arena_printf(a, STR_FMT "/" STR_FMT, STR_ARG(name_space), STR_ARG(app_id));
}

void names_forget(struct names *n, struct arena *a, struct str app_id, struct str name_space)
{
	if (n != NULL && n->known != NULL)
		addresses_forget(n->known, key_of(a, app_id, name_space));
}

struct error names_resolve(struct names *n, struct scope *s, struct str app_id, struct str name_space,
			   struct str *ret_address)
{
	struct davit_name_query *in;
	struct answer got;
	struct str key;
	int tries;

	if (n == NULL)
		return (struct error){ .code = ERROR_UNKNOWN, .message = STR("name resolver not initialized") };
	if (n->instance == NULL)
		return (struct error){ .code = ERROR_UNKNOWN, .message = n->missing };
	key = key_of(s->arena, app_id, name_space);
	if (n->known != NULL && addresses_get(n->known, s->arena, key, ret_address))
		return ERROR_NONE;
	in = arena_alloc(s->arena, sizeof(*in));
	*in = (struct davit_name_query)DAVIT_INIT(davit_name_query, .app_id = { app_id.p, app_id.n },
						  .name_space = { name_space.p, name_space.n },
						  .port = (uint32_t)n->o.port);
	for (tries = 0;; tries++) {
		got = call_instance(s, n->instance, (davit_op *)(void *)n->ops->resolve, in);
		if (got.status != DAVIT_OK)
			return error_new(s->arena, ERROR_UNKNOWN, NULL, STR_FMT, STR_ARG(got.message));
		if (pick(n, key, &got, s, ret_address))
			return ERROR_NONE;
		if (tries == TRIES || s->cancelled)
			return error_new(s->arena, ERROR_UNKNOWN, NULL,
					 "resolver returned empty address for app id " STR_FMT "/" STR_FMT,
					 STR_ARG(name_space), STR_ARG(app_id));
		fiber_park_until(clock_ns() + 100 * INT64_C(1000000));
	}
}
