/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/properties.h"

#include "base/banned.h"
#include "base/buf.h"
#include "base/log.h"

#define LOG_SCOPE "davit.plugin"

/* Read by the kernel itself from components of every type, so no manifest lists them. */
static const char *const kernel_fields[] = {
	"keyPrefix",
	"actorStateStore",
	"primaryEncryptionKey",
	"secondaryEncryptionKey",
	"outboxPublishPubsub",
	"outboxPublishTopic",
	"outboxPubsub",
	"outboxDiscardWhenMissingState",
	"allowedTopics",
	"publishingScopes",
	"subscriptionScopes",
	"protectedTopics",
	"consumerID",
	"direction",
	"route",
};

static int is_kernel_field(struct str name)
{
	size_t i;

	for (i = 0; i < sizeof(kernel_fields) / sizeof(kernel_fields[0]); i++)
		if (str_ieq(name, str_of(kernel_fields[i])))
			return 1;
	return 0;
}

static struct str as_str(struct davit_str s)
{
	return (struct str){ s.p, s.n };
}

static struct davit_str as_davit(struct str s)
{
	return (struct davit_str){ s.p, s.n };
}

static int by_name(const void *a, const void *b)
{
	const struct davit_pair *x = a, *y = b;

	return str_cmp(as_str(x->key), as_str(y->key));
}

static struct davit_pair *find(struct davit_pair *props, size_t n, struct str name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (str_eq(as_str(props[i].key), name))
			return &props[i];
	return NULL;
}

static int allowed(const struct manifest_field *f, struct str value)
{
	size_t i;

	for (i = 0; i < f->nallowed; i++)
		if (str_ieq(f->allowed[i], value))
			return 1;
	return f->nallowed == 0;
}

/* The value itself is not shown: it may have come from a secret. */
static struct error not_allowed(struct arena *a, const struct manifest_field *f)
{
	struct buf b = buf_in(a);
	size_t i;

	for (i = 0; i < f->nallowed; i++)
		buf_printf(&b, "%s" STR_FMT, i ? ", " : "", STR_ARG(f->allowed[i]));
	return error_new(a, ERROR_INVALID_ARGUMENT, NULL,
			 "metadata field '" STR_FMT "' does not allow this value; it is one of: " STR_FMT,
			 STR_ARG(f->name), STR_ARG(buf_str(&b)));
}

static struct error complete(struct arena *a, const struct manifest_component *c, struct davit_pair *props, size_t *n)
{
	size_t i;

	for (i = 0; i < c->nfields; i++) {
		const struct manifest_field *f = &c->fields[i];
		const struct davit_pair *p = find(props, *n, f->name);

		if (p == NULL && f->fallback.p != NULL)
			props[(*n)++] = (struct davit_pair){ as_davit(f->name), as_davit(f->fallback) };
		else if (f->required && (p == NULL || p->value.n == 0))
			return f->missing.p ? error_new(a, ERROR_INVALID_ARGUMENT, NULL, STR_FMT, STR_ARG(f->missing))
					    : error_new(a, ERROR_INVALID_ARGUMENT, NULL,
							"metadata field '" STR_FMT "' is required and not set",
							STR_ARG(f->name));
		else if (p != NULL && p->value.n > 0 && !allowed(f, as_str(p->value)))
			return not_allowed(a, f);
	}
	return ERROR_NONE;
}

struct error properties_check(struct arena *a, const struct manifest_component *c, const struct davit_pair *given,
			      size_t n, const char *log_name, const struct davit_pair **ret_props, size_t *ret_n)
{
	struct davit_pair *props = arena_alloc(a, sizeof(*props) * (n + c->nfields + 1)), *same;
	struct error e;
	size_t i, k = 0;

	for (i = 0; i < n; i++) {
		const struct manifest_field *f = manifest_field(c, as_str(given[i].key));
		struct str name = f ? f->name : as_str(given[i].key);

		if (f == NULL && !c->open && !is_kernel_field(name))
			log_warn("Component %s: " STR_FMT " has no metadata field '" STR_FMT
				 "': it is passed on all the "
				 "same",
				 log_name, STR_ARG(c->type), STR_ARG(name));
		same = find(props, k, name);
		if (same != NULL)
			same->value = given[i].value;
		else
			props[k++] = (struct davit_pair){ as_davit(name), given[i].value };
	}
	e = complete(a, c, props, &k);
	if (error_is(&e))
		return e;
	qsort(props, k, sizeof(*props), by_name);
	*ret_props = props;
	*ret_n = k;
	return ERROR_NONE;
}
