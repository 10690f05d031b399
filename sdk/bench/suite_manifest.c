/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest beside the library against the library's table: an operator is told by it what there is, and what may be set. Where
 * there is none yet, nothing is said: the loader does.
 */
#include <davit/json.h>
#include <davit/pubsub.h>
#include <davit/secrets.h>
#include <davit/state.h>
#include <stdlib.h>
#include <strings.h>

#include "operation.h"
#include "report.h"

#define NAME 96
#define LARGEST (4 << 20)

static const struct {
	uint32_t block, feature;
	const char *name;
} features[] = {
	{ DAVIT_BLOCK_STATE, DAVIT_STATE_ETAG, "ETAG" },
	{ DAVIT_BLOCK_STATE, DAVIT_STATE_TTL, "TTL" },
	{ DAVIT_BLOCK_STATE, DAVIT_STATE_TRANSACTIONAL, "TRANSACTIONAL" },
	{ DAVIT_BLOCK_PUBSUB, DAVIT_PUBSUB_TTL, "MESSAGE_TTL" },
	{ DAVIT_BLOCK_PUBSUB, DAVIT_PUBSUB_WILDCARDS, "SUBSCRIBE_WILDCARDS" },
	{ DAVIT_BLOCK_PUBSUB, DAVIT_PUBSUB_BULK, "BULK_PUBSUB" },
	{ DAVIT_BLOCK_SECRETS, DAVIT_SECRETS_MULTIPLE, "MULTIPLE_KEY_VALUES_PER_SECRET" },
};

/* NULL: there is none. */
static char *read_beside(const char *library, size_t *ret_n)
{
	size_t n = strlen(library);
	char *path = malloc(n + 6), *text = NULL;
	FILE *f;

	if (path == NULL)
		abort();
	if (n > 3 && strcmp(library + n - 3, ".so") == 0)
		n -= 3;
	snprintf(path, n + 6, "%.*s.json", (int)n, library);
	f = fopen(path, "re");
	free(path);
	if (f == NULL)
		return NULL;
	text = malloc(LARGEST);
	if (text == NULL)
		abort();
	*ret_n = fread(text, 1, LARGEST, f);
	fclose(f);
	return text;
}

static int find_component(struct davit_json manifest, const struct davit_component *c, struct davit_json *ret)
{
	struct davit_json list, type, version;
	size_t place = 0;

	if (!davit_json_member(manifest, "components", &list))
		return 0;
	while (davit_json_next(list, &place, NULL, ret))
		if (davit_json_member(*ret, "type", &type) && davit_json_is(type, c->type) &&
		    davit_json_member(*ret, "version", &version) && davit_json_is(version, c->version))
			return 1;
	return 0;
}

static int listed(struct davit_json of, const char *list, const char *name)
{
	struct davit_json all, one;
	size_t place = 0;

	if (!davit_json_member(of, list, &all))
		return 0;
	while (davit_json_next(all, &place, NULL, &one))
		if (davit_json_is(one, name))
			return 1;
	return 0;
}

static void operations(struct davit_json entry, const struct davit_component *c)
{
	struct davit_json all, one;
	char name[NAME], text[256];
	size_t place = 0;
	int well = 1;

	if (!davit_json_member(entry, "operations", &all))
		return;
	while (davit_json_next(all, &place, NULL, &one)) {
		davit_json_text(one, name, sizeof(name));
		if (operation_there(c, name))
			continue;
		snprintf(text, sizeof(text),
			 "the manifest's operation \"%s\" is in the component's table: put it there, or take it "
			 "out of the manifest",
			 name);
		report(0, NULL, text);
		well = 0;
	}
	if (well)
		report(1, NULL, "every operation of the manifest is in the component's table");
}

static void capabilities(struct davit_json entry, const struct host *h)
{
	uint32_t has = ((const struct davit_state_ops *)h->component->ops)->features |
		       h->features; /* all tables begin alike */
	int well = 1, claimed;
	char text[256];
	size_t i;

	for (i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (features[i].block != h->component->block)
			continue;
		claimed = listed(entry, "capabilities", features[i].name);
		if (!claimed || (has & features[i].feature))
			continue;
		snprintf(text, sizeof(text),
			 "the manifest's capability %s is a feature of the component's table: set its bit, or "
			 "take it out of the manifest",
			 features[i].name);
		report(0, NULL, text);
		well = 0;
	}
	if (well)
		report(1, NULL, "every capability of the manifest is a feature of the component's table");
}

static int is_name_of(struct davit_json field, const char *name)
{
	struct davit_json value;
	char text[NAME];
	size_t place = 0;

	if (davit_json_member(field, "name", &value) && davit_json_text(value, text, sizeof(text)) < sizeof(text) &&
	    strcasecmp(text, name) == 0)
		return 1;
	if (!davit_json_member(field, "aliases", &field))
		return 0;
	while (davit_json_next(field, &place, NULL, &value))
		if (davit_json_text(value, text, sizeof(text)) < sizeof(text) && strcasecmp(text, name) == 0)
			return 1;
	return 0;
}

static int described(struct davit_json entry, const char *name)
{
	struct davit_json fields, field;
	size_t place = 0;

	if (!davit_json_member(entry, "metadata", &fields))
		return 0;
	while (davit_json_next(fields, &place, NULL, &field))
		if (is_name_of(field, name))
			return 1;
	return 0;
}

static void properties(struct davit_json entry, const struct davit_pair *props, size_t n)
{
	struct davit_json open;
	char text[256];
	int well = 1;
	size_t i;

	if (davit_json_member(entry, "openMetadata", &open) && open.kind == DAVIT_JSON_TRUE)
		return;
	for (i = 0; i < n; i++) {
		/* The runtime itself gives every component of topics its consumerID. */
		if (strcmp(props[i].key.p, "consumerID") == 0 || described(entry, props[i].key.p))
			continue;
		snprintf(text, sizeof(text),
			 "the property %s is in the manifest's metadata: describe it there, since operators are "
			 "warned of a field that is not",
			 props[i].key.p);
		report(0, NULL, text);
		well = 0;
	}
	if (well && n > 0)
		report(1, NULL, "every property given here is in the manifest's metadata");
}

void suite_manifest(const struct host *h, const char *library, const struct davit_pair *props, size_t n)
{
	struct davit_json manifest, entry;
	size_t size = 0;
	char *text = read_beside(library, &size);

	if (text == NULL) {
		printf("# no manifest lies beside the library: davit-manifest makes it\n");
		return;
	}
	if (davit_json_parse(text, size, &manifest) < 0) {
		report(0, NULL, "the manifest beside the library is JSON");
	} else if (!find_component(manifest, h->component, &entry)) {
		report(0, NULL, "the manifest has the component, by type and version");
	} else {
		operations(entry, h->component);
		capabilities(entry, h);
		properties(entry, props, n);
	}
	free(text);
}
