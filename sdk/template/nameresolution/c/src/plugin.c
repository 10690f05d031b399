/* SPDX-License-Identifier: Apache-2.0 */
/* @TYPE@ v1: the plugin line. <davit/names.h> says what each operation must do. */
#include <davit/names.h>

#include "backend.h"

static davit_status names_resolve(void *self, struct davit_call *call, const struct davit_name_query *in)
{
	struct davit_name_address record = DAVIT_INIT(davit_name_address);
	size_t n = 0;
	const char *address = backend_find(self, in->app_id.p, in->app_id.n, &n);
	char *text;

	if (address == NULL)
		return davit_fail(call, DAVIT_NOT_FOUND, NULL, "no address is known for '%s'", in->app_id.p);
	text = davit_alloc(call, n + 1); /* a davit_str ends in a NUL */
	if (text == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	memcpy(text, address, n);
	text[n] = '\0';
	record.address = davit_str(text);
	return davit_emit(call, &record);
}

static davit_status names_open(void *none, struct davit_call *call, const struct davit_open *in)
{
	struct backend *b = backend_open(davit_prop(in, "hosts").p); /* required: the manifest says so */
	davit_status status;

	(void)none;
	if (b == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	status = davit_emit_self(call, b);
	if (status != DAVIT_OK) /* nobody waits any more */
		backend_close(b);
	return status;
}

static davit_status names_close(void *self, struct davit_call *call, const void *none)
{
	(void)call, (void)none;
	backend_close(self);
	return DAVIT_OK;
}

/* No announce: others find this sidecar by the same list. */
static const struct davit_names_ops names_ops = DAVIT_INIT(davit_names_ops, .resolve = names_resolve);

/* DAVIT_LOOP: nothing here ever blocks. A client that does takes no flags, or DAVIT_SERIAL. */
static const struct davit_component names = DAVIT_NAMES("@TYPE@", "v1", &names_ops, .flags = DAVIT_LOOP,
							.open = names_open, .close = names_close);

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "@VENDOR@", &names);
