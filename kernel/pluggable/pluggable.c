/* SPDX-License-Identifier: Apache-2.0 */
#include "pluggable/pluggable.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/fiber.h"
#include "pluggable/offers.h"
#include "pluggable/peer.h"
#include "pluggable/socket.h"

#define LOG_SCOPE "pluggable-components-discovery"
#define LOOK_NS (INT64_C(50) * 1000000) /* between two looks at the folder */

struct pluggable {
	struct arena *a;
	struct pluggable_options o;
	struct socket *sockets; /* of types that were found */
};

/* The services that stand for a block's types, and the tables behind them. */
static const struct offer {
	const char *block, *service;
	uint32_t number;
	const void *ops;
	davit_status (*open)(void *none, struct davit_call *call, const struct davit_open *in);
	davit_status (*close)(void *self, struct davit_call *call, const void *none);
	davit_status (*ping)(void *self, struct davit_call *call, const void *none);
} offers[] = {
	{ "state", "dapr.proto.components.v1.StateStore", DAVIT_BLOCK_STATE, &peer_state_ops, peer_state_open,
	  peer_close, peer_ping },
	{ "secretstores", "dapr.proto.components.v1.SecretStore", DAVIT_BLOCK_SECRETS, &peer_secrets_ops,
	  peer_secrets_open, peer_close, peer_ping },
	{ "pubsub", "dapr.proto.components.v1.PubSub", DAVIT_BLOCK_PUBSUB, &peer_pubsub_ops, peer_pubsub_open,
	  peer_close, peer_ping },
};

struct pluggable *pluggable_new(const struct pluggable_options *o)
{
	struct arena *a = arena_new();
	struct pluggable *p = a ? arena_try(a, sizeof(*p)) : NULL;
	char *folder = p ? arena_try(a, o->folder.n + 1) : NULL;

	if (folder == NULL) {
		arena_unref(a);
		return NULL;
	}
	memcpy(folder, o->folder.p, o->folder.n);
	folder[o->folder.n] = '\0';
	*p = (struct pluggable){ a, *o, NULL };
	p->o.folder.p = folder;
	return p;
}

void pluggable_free(struct pluggable *p)
{
	if (p != NULL)
		arena_unref(p->a);
}

static const struct offer *offer_of(struct str type, struct str *ret_name)
{
	struct str block;
	size_t i;

	if (str_cut(type, '.', &block, ret_name) == 0 || ret_name->n == 0)
		return NULL;
	for (i = 0; i < sizeof(offers) / sizeof(offers[0]); i++)
		if (str_ieq(block, str_of(offers[i].block)))
			return &offers[i];
	return NULL;
}

static struct socket *known(const struct pluggable *p, struct str type)
{
	struct socket *s;

	for (s = p->sockets; s != NULL; s = s->next)
		if (str_ieq(s->about.type, type))
			return s;
	return NULL;
}

/* A file's name up to its last dot. */
static struct str without_ending(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? (struct str){ name, (size_t)(dot - name) } : str_of(name);
}

/* The path of the socket of that name, in a; NULL: there is none. */
static const char *look(const struct pluggable *p, struct str name, struct arena *a, struct str *ret_why)
{
	DIR *d = opendir(p->o.folder.p);
	char path[PATH_MAX];
	struct dirent *e;
	struct stat st;
	int found = 0;

	*ret_why = arena_printf(a, "no socket " STR_FMT ".* is in " STR_FMT, STR_ARG(name), STR_ARG(p->o.folder));
	while (d != NULL && !found && (e = readdir(d)) != NULL) {
		if (!str_ieq(without_ending(e->d_name), name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", p->o.folder.p, e->d_name);
		found = stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
		if (!found && !S_ISDIR(st.st_mode))
			*ret_why = arena_printf(a, "%s is no socket", path);
	}
	if (d != NULL)
		closedir(d);
	return found ? arena_cstr(a, path) : NULL;
}

static struct socket *add(struct pluggable *p, const struct offer *o, const char *path)
{
	struct arena *a = p->a;
	struct socket *s = arena_zalloc(a, sizeof(*s));

	s->path = arena_cstr(a, path);
	s->about = (struct manifest_component){
		.type = arena_printf(a, "%s." STR_FMT, o->block, STR_ARG(without_ending(strrchr(s->path, '/') + 1))),
		.version = STR("v1"),
		.block = str_of(o->block),
		.status = STR("stable"),
		.is_default = 1,
		.open = 1,
	};
	s->manifest = (struct manifest){ .name = s->about.type,
					 .version = STR("pluggable"),
					 .library = str_of(s->path),
					 .components = &s->about,
					 .ncomponents = 1 };
	s->type = (struct component_type){
		.manifest = &s->manifest,
		.about = &s->about,
		.tier = TIER_COMMUNITY,
		.file = s->path,
		.component = { .size = sizeof(struct davit_component),
			       .kind = davit_component_kind,
			       .block = o->number,
			       .flags = DAVIT_LOOP | DAVIT_PER_LOOP,
			       .type = s->about.type.p,
			       .version = s->about.version.p,
			       .ops = o->ops,
			       .open = o->open,
			       .close = o->close,
			       .ping = o->ping },
		.ops = (void *)o->ops,
		.loaded = 1,
		.adapter = s,
	};
	s->next = p->sockets;
	p->sockets = s;
	log_info("pluggable component '" STR_FMT "' was successfully registered for '%s'", STR_ARG(s->about.type),
		 o->service);
	return s;
}

/* Dapr registers them without a version, and finds those by the first one's names. */
static int first_version(struct str v)
{
	return v.n == 0 || str_ieq(v, STR("v0")) || str_ieq(v, STR("v1"));
}

static int waits_for(const struct pluggable *p)
{
	struct stat st;

	return p->o.expected || stat(p->o.folder.p, &st) == 0;
}

struct component_type *pluggable_find(struct pluggable *p, struct str type, struct str version, int64_t until_ns,
				      struct arena *a, struct str *ret_message)
{
	struct str name, why = STR("");
	const struct offer *o = offer_of(type, &name);
	struct socket *s;
	const char *path;
	int told = 0, rc = -1;
	int64_t next;

	*ret_message = STR("");
	if (p == NULL || o == NULL || !first_version(version) || !waits_for(p))
		return NULL;
	while (rc == -1) {
		s = known(p, type);
		if (s != NULL)
			return &s->type;
		path = look(p, name, a, &why);
		if (path != NULL)
			rc = socket_serves(path, o->service, until_ns, a, &why);
		if (rc != -1 || clock_ns() >= until_ns)
			break;
		if (!told++)
			log_info("Waiting for the socket of " STR_FMT ": " STR_FMT, STR_ARG(type), STR_ARG(why));
		for (next = clock_ns() + LOOK_NS; clock_ns() < next;)
			fiber_park_until(next);
	}
	if (rc == 1) {
		s = known(p, type); /* another resource's fiber may have been faster */
		return s ? &s->type : &add(p, o, path)->type;
	}
	*ret_message = why;
	return NULL;
}
