/* SPDX-License-Identifier: Apache-2.0 */
/* secretstores.local.env: the sidecar's environment as secrets, for development. */
#include <davit/secrets.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

struct store {
	struct davit_instance *instance;
	size_t prefix_n;
	char prefix[];
};

/* What is the sidecar's own business stays so, whatever the prefix. */
static int allowed(const char *name, size_t n)
{
	static const char token[] = "APP_API_TOKEN";

	return !(n == sizeof(token) - 1 && strncasecmp(name, token, n) == 0) &&
	       !(n >= 5 && strncasecmp(name, "DAPR_", 5) == 0);
}

static davit_status emit(struct davit_call *call, struct davit_str name, struct davit_str value)
{
	struct davit_secret_item item = DAVIT_INIT(davit_secret_item, .name = name, .key = name, .value = value);

	return davit_emit(call, &item);
}

/* A variable that is not set, or not to be shown, is an empty secret, as in Dapr. */
static davit_status store_get(void *self, struct davit_call *call, const struct davit_secret_key *in)
{
	struct store *s = self;
	const char *value = NULL;
	char *name = davit_alloc(call, s->prefix_n + in->name.n + 1);

	if (name == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	memcpy(name, s->prefix, s->prefix_n);
	memcpy(name + s->prefix_n, in->name.p, in->name.n);
	name[s->prefix_n + in->name.n] = '\0';
	if (allowed(name, s->prefix_n + in->name.n)) {
		if (strlen(name) == s->prefix_n + in->name.n)
			value = getenv(name);
	} else {
		davit_log(s->instance, DAVIT_LOG_WARN, "Access to env var %.256s is forbidden", in->name.p);
	}
	return emit(call, in->name, davit_str(value ? value : ""));
}

static davit_status store_bulk_get(void *self, struct davit_call *call, const struct davit_secret_key *in)
{
	struct store *s = self;
	davit_status status = DAVIT_OK;
	struct davit_str name;
	const char *equals;
	char **variable, *copy;

	(void)in;
	for (variable = environ; variable != NULL && *variable != NULL && status == DAVIT_OK; variable++) {
		equals = strchr(*variable, '=');
		if (equals == NULL || !allowed(*variable, (size_t)(equals - *variable)))
			continue;
		name.n = (size_t)(equals - *variable);
		if (name.n <= s->prefix_n || memcmp(*variable, s->prefix, s->prefix_n) != 0)
			continue;
		name.n -= s->prefix_n;
		copy = davit_alloc(call, name.n + 1); /* for the NUL behind the name */
		if (copy == NULL)
			return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
		memcpy(copy, *variable + s->prefix_n, name.n);
		copy[name.n] = '\0';
		name.p = copy;
		status = emit(call, name, davit_str(equals + 1));
	}
	return status;
}

static davit_status store_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct davit_str prefix = davit_prop(in, "prefix");
	struct store *s = malloc(sizeof(*s) + prefix.n + 1);
	davit_status status;

	(void)none;
	if (s == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	s->instance = in->instance;
	s->prefix_n = prefix.n;
	if (prefix.n > 0)
		memcpy(s->prefix, prefix.p, prefix.n);
	s->prefix[prefix.n] = '\0';
	status = davit_emit_self(call, s);
	if (status != DAVIT_OK)
		free(s);
	return status;
}

static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	(void)call;
	(void)none;
	free(self);
	return DAVIT_OK;
}

static const struct davit_secrets_ops store_ops = DAVIT_INIT(davit_secrets_ops, .get = store_get,
							     .bulk_get = store_bulk_get);

static const struct davit_component store_component = DAVIT_SECRETS("secretstores.local.env", "v1", &store_ops,
								    .flags = DAVIT_LOOP, .open = store_open,
								    .close = store_close);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "Davit", &store_component);
