/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets: what the command line says is there, is there, one by one and in bulk. */
#include <davit/secrets.h>

#include "report.h"

static davit_status run(struct host *h, struct call *ret_call, davit_op *op, struct davit_str name)
{
	struct davit_secret_key in = DAVIT_INIT(davit_secret_key, .name = name);

	call_init(ret_call, h);
	return call_run(ret_call, op, &in);
}

davit_status secret_get(struct host *h, struct call *ret_call, struct davit_str name)
{
	return run(h, ret_call, (davit_op *)((const struct davit_secrets_ops *)h->component->ops)->get, name);
}

static int has(const struct call *c, struct davit_str name, struct davit_str key, struct davit_str value)
{
	size_t i;

	for (i = 0; i < c->nrecords; i++) {
		const struct record *r = &c->records[i];

		if (r->name.n == name.n && memcmp(r->name.p, name.p, name.n) == 0 && r->key.n == key.n &&
		    memcmp(r->key.p, key.p, key.n) == 0 && r->value.n == value.n &&
		    memcmp(r->value.p, value.p, value.n) == 0)
			return 1;
	}
	return 0;
}

/* "name/key"; without a slash the key is the name. The name ends in a NUL as the line promises. */
static void split(struct davit_str both, char *buffer, size_t room, struct davit_str *ret_name,
		  struct davit_str *ret_key)
{
	char *slash;

	snprintf(buffer, room, "%s", both.p);
	slash = strchr(buffer, '/');
	if (slash != NULL)
		*slash = '\0';
	*ret_name = davit_str(buffer);
	*ret_key = slash != NULL ? davit_str(slash + 1) : *ret_name;
}

static int any_of(const struct call *c, struct davit_str name)
{
	size_t i;

	for (i = 0; i < c->nrecords; i++)
		if (c->records[i].name.n == name.n && memcmp(c->records[i].name.p, name.p, name.n) == 0)
			return 1;
	return 0;
}

void suite_secrets(struct host *h, const struct davit_pair *expected, size_t n, const struct davit_str *absent,
		   size_t nabsent)
{
	const struct davit_secrets_ops *ops = h->component->ops;
	struct davit_str name, key;
	char buffer[512];
	struct call c, all;
	size_t i;

	if (ops->bulk_get != NULL)
		report(run(h, &all, (davit_op *)ops->bulk_get, davit_str("")) == DAVIT_OK, &all,
		       "all secrets are read");
	for (i = 0; i < n; i++) {
		split(expected[i].key, buffer, sizeof(buffer), &name, &key);
		report(secret_get(h, &c, name) == DAVIT_OK && has(&c, name, key, expected[i].value), &c,
		       expected[i].key.p);
		call_release(&c);
		if (ops->bulk_get != NULL)
			report(has(&all, name, key, expected[i].value), NULL, "it is among all");
	}
	for (i = 0; i < nabsent; i++) {
		davit_status status = secret_get(h, &c, absent[i]);

		report(status == DAVIT_NOT_FOUND ||
			       (status == DAVIT_OK && c.nrecords == 1 && c.records[0].value.n == 0),
		       &c, absent[i].p);
		call_release(&c);
		if (ops->bulk_get != NULL)
			report(!any_of(&all, absent[i]), NULL, "it is not among all");
	}
	if (ops->bulk_get != NULL)
		call_release(&all);
}
