/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit-manifest: completes what is known only once a plugin is built, and writes the index of a plugin folder.
 *	davit-manifest fill TIERS SOURCE VERSION SHA256    the manifest of one plugin, to standard output
 *	davit-manifest index TIERS MANIFEST ...            the index that grants tiers, to standard output
 * TIERS may be "-": then all is community, as a vendor's own always is.
 * Both print the same bytes for the same input.
 */
#include <davit/plugin.h>
#include <jansson.h>
#include <stdlib.h>

#include "check.h"

static const char *text(json_t *from, const char *name)
{
	const char *s = json_string_value(json_object_get(from, name));

	return s != NULL ? s : "";
}

static json_t *load(const char *path)
{
	json_error_t where;
	json_t *root = strcmp(path, "-") == 0 ? json_object() : json_load_file(path, JSON_REJECT_DUPLICATES, &where);

	if (!json_is_object(root)) {
		fprintf(stderr, "%s:%d: %s\n", path, where.line, root ? "must be an object" : where.text);
		exit(1);
	}
	return root;
}

/* What is not named is community. */
static const char *tier(json_t *tiers, json_t *component)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(tiers, "tiers"), i,
			   row) if (strcmp(text(row, "type"), text(component, "type")) == 0 &&
				    strcmp(text(row, "version"), text(component, "version")) == 0) return text(row,
													       "tier");
	return "community";
}

static int print(json_t *root)
{
	int failed = json_dumpf(root, stdout, JSON_INDENT(2)) < 0 || putchar('\n') == EOF || fflush(stdout) != 0;

	json_decref(root);
	if (failed)
		perror("standard output");
	return failed;
}

/* The keys in the order of the schema: what is filled in stands before the components. */
static int fill(char **args)
{
	static const char *const kept[] = { "$schema", "name", "vendor", "licence", "kernel", "description" };
	json_t *tiers = load(args[0]), *source = load(args[1]), *out = json_object(), *component;
	char library[256];
	size_t i;

	if (check_source(args[1], source) < 0)
		exit(1);
	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (json_object_get(source, kept[i]) != NULL)
			json_object_set(out, kept[i], json_object_get(source, kept[i]));
	snprintf(library, sizeof(library), "%s.so", text(source, "name"));
	json_object_set_new(out, "version", json_string(args[2]));
	json_object_set_new(out, "library", json_string(library));
	json_object_set_new(out, "sha256", json_string(args[3]));
	json_object_set_new(out, "abi", json_integer(DAVIT_ABI));
	json_object_set_new(out, "sdk", json_sprintf("0.%u", DAVIT_SDK_MINOR));
	json_array_foreach(json_object_get(source, "components"), i, component)
		json_object_set_new(component, "tier", json_string(tier(tiers, component)));
	json_object_set(out, "components", json_object_get(source, "components"));
	json_decref(tiers);
	json_decref(source);
	return print(out);
}

/* A row a component, which the kernel takes at its word only if the library has that hash. */
static int write_index(int n, char **args)
{
	json_t *tiers = load(args[0]), *rows = json_array(), *manifest, *component;
	size_t i;
	int k;

	for (k = 1; k < n; k++) {
		manifest = load(args[k]);
		json_array_foreach(json_object_get(manifest, "components"), i, component) json_array_append_new(
			rows, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", text(component, "type"), "version",
					text(component, "version"), "plugin", text(manifest, "name"), "pluginVersion",
					text(manifest, "version"), "sha256", text(manifest, "sha256"), "tier",
					tier(tiers, component)));
		json_decref(manifest);
	}
	json_decref(tiers);
	return print(rows);
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "fill") == 0)
		return fill(argv + 2);
	if (argc >= 3 && strcmp(argv[1], "index") == 0)
		return write_index(argc - 2, argv + 2);
	fprintf(stderr, "usage: davit-manifest fill TIERS SOURCE VERSION SHA256 | index TIERS MANIFEST ...\n");
	return 2;
}
