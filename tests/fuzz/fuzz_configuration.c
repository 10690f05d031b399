/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files: variables replaced, every section read, one laid over the other. An input is loaded twice, over itself. */
#include "fuzz_input.h"
#include "resources/configuration.h"

static void run(struct arena *a, struct str input)
{
	const char *path = fuzz_file("c.yaml", input, NULL), *files[] = { path, path };
	struct configuration *c;
	struct error e;

	c = configuration_load(files, 2, a, &e);
	if (c == NULL) {
		fuzz_require(e.message.n > 0);
		return;
	}
	FUZZ_PLANTED(c->tracing.otel.timeout > 5000000000);
	configuration_secret_allowed(c, STR("store"), STR("secret"));
	configuration_component_denied(c, STR("state.redis"), STR("v1"));
	configuration_feature(c, "HotReload");
	configuration_unref(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(data, size, run);
}
