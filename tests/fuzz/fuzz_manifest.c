/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests that lie beside a library, and indexes of a plugin folder: the first byte says which. */
#include "fuzz_input.h"
#include "plugin/index.h"

static void read_manifest(struct arena *a, struct str input)
{
	struct str why = STR("");
	struct manifest m;
	size_t i;

	if (manifest_load(a, fuzz_file("manifest.json", input, NULL), &m, &why) < 0) {
		fuzz_require(why.n > 0);
		return;
	}
	FUZZ_PLANTED(m.abi > 1);
	for (i = 0; i < m.ncomponents; i++)
		fuzz_require(m.components[i].type.n > 0 && tier_name(m.components[i].tier) != NULL);
	if (m.ncomponents > 0 && m.components[0].nfields > 0)
		fuzz_require(manifest_field(&m.components[0], m.components[0].fields[0].name) != NULL);
}

static void run(struct arena *a, struct str input)
{
	struct plugin_index x;
	const char *folder;

	if (fuzz_choice(&input) != 'i') {
		read_manifest(a, input);
		return;
	}
	fuzz_file("manifest.json", input, &folder);
	char path[128];

	snprintf(path, sizeof(path), "%s/index.json", folder);
	unlink(path);
	fuzz_require(link(fuzz_file("manifest.json", input, NULL), path) == 0);
	index_load(a, folder, &x);
	for (size_t i = 0; i < x.n; i++)
		fuzz_require(tier_name(x.entries[i].tier) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(data, size, run);
}
