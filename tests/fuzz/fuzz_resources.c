/* SPDX-License-Identifier: Apache-2.0 */
/* Component files, as they are loaded at the start: the YAML itself, what each kind has, the scopes. */
#include "fuzz_input.h"
#include "resources/load.h"
#include "resources/yaml.h"

static void run(struct arena *a, struct str input)
{
	const char *folder;
	struct resources *r;
	struct error e;
	size_t i;

	fuzz_file("r.yaml", input, &folder);
	r = resources_load(&folder, 1, STR("app"), STR(""), a, &e);
	if (r == NULL) {
		fuzz_require(e.message.n > 0);
		return;
	}
	FUZZ_PLANTED(r->ncomponents > 0 && r->components[0].nitems > 3);
	for (i = 0; i < r->ncomponents; i++)
		fuzz_require(resources_component(r, r->components[i].name) != NULL);
	for (i = 0; i < r->of[RESOURCE_COMPONENT].n; i++)
		fuzz_require(r->of[RESOURCE_COMPONENT].p[i].root->nodes <= YAML_NODES);
	resources_unref(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(data, size, run);
}
