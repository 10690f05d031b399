/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/properties.h"

#include "base/banned.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/random.h"
#include "blocks/secrets.h"

#define LOG_SCOPE "dapr.runtime.processor.secret"

struct str properties_get(const struct davit_pair *props, size_t n, const char *name)
{
	size_t i;

	for (i = n; i-- > 0;)
		if (str_ieq((struct str){ props[i].key.p, props[i].key.n }, str_of(name)))
			return (struct str){ props[i].value.p, props[i].value.n };
	return STR_NONE;
}

static struct str from_environment(struct blocks *b, const struct component *c, const struct component_item *item)
{
	const char *v;

	if (!component_env_allowed(item->env, b->o.env_keys)) {
		log_warn("Component " STR_FMT " references an env variable that isn't allowed: " STR_FMT,
			 STR_ARG(c->name), STR_ARG(item->env));
		return STR("");
	}
	v = getenv(item->env.p);
	return str_of(v ? v : "");
}

static struct str from_secret(struct blocks *b, struct arena *a, const struct component *c,
			      const struct component_item *item)
{
	struct secret_store *store = map_get(&b->secrets, c->secret_store);
	struct str key = item->secret.key.n ? item->secret.key : item->secret.name, value;
	struct scope s = { .arena = a };
	struct error e;

	if (store == NULL) {
		log_warn("Component " STR_FMT " references a secret store that isn't loaded: " STR_FMT,
			 STR_ARG(c->name), STR_ARG(c->secret_store));
		return STR("");
	}
	e = secrets_read(&s, store, item->secret.name, key, c->namespace, &value);
	if (error_is(&e)) {
		log_error("Error getting secret: " STR_FMT, STR_ARG(e.message));
		return STR("");
	}
	return value;
}

static void add_uuid(struct buf *out)
{
	char text[UUID_TEXT];

	random_uuid(text);
	buf_adds(out, str_of(text));
}

/* {uuid} (new each time), {podName}, {namespace}, {appID}; anything else in braces stays. */
static int fill_in(struct blocks *b, struct arena *a, struct str name, struct str value, struct str *ret_value,
		   struct str *ret_message)
{
	struct buf out = buf_in(a);
	struct str rest = value;

	if (value.n == 0 || memchr(value.p, '{', value.n) == NULL) {
		*ret_value = value;
		return 0;
	}
	while (rest.n > 0) {
		if (str_starts(rest, STR("{uuid}"))) {
			add_uuid(&out);
			rest = str_from(rest, 6);
		} else if (str_starts(rest, STR("{podName}"))) {
			if (b->o.pod_name.n == 0) {
				*ret_message = arena_printf(a,
							    "failed to parse metadata: property " STR_FMT
							    " refers to {podName} but podName is not set",
							    STR_ARG(name));
				return -1;
			}
			buf_adds(&out, b->o.pod_name);
			rest = str_from(rest, 9);
		} else if (str_starts(rest, STR("{namespace}"))) {
			buf_printf(&out, STR_FMT "." STR_FMT, STR_ARG(b->o.name_space), STR_ARG(b->o.app_id));
			rest = str_from(rest, 11);
		} else if (str_starts(rest, STR("{appID}"))) {
			buf_adds(&out, b->o.app_id);
			rest = str_from(rest, 7);
		} else {
			buf_addc(&out, rest.p[0]);
			rest = str_from(rest, 1);
		}
	}
	*ret_value = buf_str(&out);
	return 0;
}

int properties_of(struct blocks *b, struct arena *a, const struct component *c, const struct davit_pair **ret_props,
		  size_t *ret_n, struct str *ret_message)
{
	struct davit_pair *props = arena_alloc(a, sizeof(*props) * (c->nitems + 1));
	size_t i;

	for (i = 0; i < c->nitems; i++) {
		const struct component_item *item = &c->items[i];
		struct str value = item->value;

		if (item->json.p == NULL && item->env.n > 0)
			value = from_environment(b, c, item);
		else if (item->secret.name.n > 0)
			value = from_secret(b, a, c, item);
		if (fill_in(b, a, item->name, value, &value, ret_message) < 0)
			return -1;
		props[i].key = (struct davit_str){ item->name.p, item->name.n };
		props[i].value = (struct davit_str){ value.p ? value.p : "", value.n };
	}
	*ret_props = props;
	*ret_n = c->nitems;
	return 0;
}
