/* SPDX-License-Identifier: Apache-2.0 */
/* @TYPE@ v1: the plugin line. <davit/secrets.h> says what each operation must do. */
#include <davit/secrets.h>
#include <errno.h>

#include "backend.h"

#define FOUND 1

struct reading {
	struct davit_call *call;
	const char *wanted; /* NULL: all */
	davit_status status;
};

static int emit(void *arg, const char *name, const char *value)
{
	struct reading *r = arg;
	struct davit_secret_item item = DAVIT_INIT(davit_secret_item, .name = davit_str(name), .key = davit_str(name),
						   .value = davit_str(value));

	if (r->wanted != NULL && strcmp(name, r->wanted) != 0)
		return 0;
	r->status = davit_emit(r->call, &item); /* copies */
	return r->wanted != NULL || r->status != DAVIT_OK ? FOUND : 0;
}

/* What the file says goes into no message: a name of ours is enough. */
static davit_status read_secrets(struct backend *b, struct reading *r)
{
	int result = backend_each(b, emit, r);

	if (result < 0)
		return davit_fail(r->call, DAVIT_UNAVAILABLE, NULL, "%s: %s", backend_file(b), strerror(errno));
	if (result == 0 && r->wanted != NULL)
		return davit_fail(r->call, DAVIT_NOT_FOUND, NULL, "there is no secret '%s'", r->wanted);
	return r->status;
}

static davit_status store_get(void *self, struct davit_call *call, const struct davit_secret_key *in)
{
	struct reading r = { call, in->name.p, DAVIT_OK };

	return read_secrets(self, &r);
}

static davit_status store_bulk_get(void *self, struct davit_call *call, const struct davit_secret_key *in)
{
	struct reading r = { call, NULL, DAVIT_OK };

	(void)in;
	return read_secrets(self, &r);
}

static davit_status store_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct backend *b = backend_open(davit_prop(in, "file").p); /* required: the manifest says so */
	davit_status status;

	(void)none;
	if (b == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	status = davit_emit_self(call, b);
	if (status != DAVIT_OK) /* nobody waits any more */
		backend_close(b);
	return status;
}

static davit_status store_close(void *self, struct davit_call *call, const void *none)
{
	(void)call, (void)none;
	backend_close(self);
	return DAVIT_OK;
}

static const struct davit_secrets_ops store_ops = DAVIT_INIT(davit_secrets_ops, .get = store_get,
							     .bulk_get = store_bulk_get);

/* No flags: up to four threads, which may block. */
static const struct davit_component store = DAVIT_SECRETS("@TYPE@", "v1", &store_ops, .open = store_open,
							  .close = store_close);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "@VENDOR@", &store);
