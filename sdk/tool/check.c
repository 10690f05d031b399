/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <string.h>

/* A member of an object: its kinds, whether it must be there, and the texts it may have, if not any. */
struct member {
	const char *name;
	const char *kinds; /* of: o(bject) a(rray) s(tring) n(umber) b(oolean) */
	int must;
	const char *words; /* " a b c "; NULL: any */
};

static const struct member of_manifest[] = {
	{ "$schema", "s", 0, NULL },	{ "name", "s", 1, NULL },   { "vendor", "s", 1, NULL },
	{ "licence", "s", 1, NULL },	{ "kernel", "s", 0, NULL }, { "description", "s", 0, NULL },
	{ "components", "a", 1, NULL }, { NULL, NULL, 0, NULL },
};

static const struct member of_component[] = {
	{ "type", "s", 1, NULL },
	{ "version", "s", 1, NULL },
	{ "block", "s", 1,
	  " state pubsub bindings secretstores configuration lock crypto middleware nameresolution conversation " },
	{ "title", "s", 0, NULL },
	{ "description", "s", 0, NULL },
	{ "aliasOf", "s", 0, NULL },
	{ "status", "s", 1, " alpha beta stable " },
	{ "default", "b", 1, NULL },
	{ "tier", "s", 0, " managed standard community " },
	{ "support", "o", 0, NULL },
	{ "capabilities", "a", 1, NULL },
	{ "operations", "a", 1, NULL },
	{ "openMetadata", "b", 0, NULL },
	{ "metadata", "a", 1, NULL },
	{ NULL, NULL, 0, NULL },
};

static const struct member of_field[] = {
	{ "name", "s", 1, NULL },
	{ "type", "s", 1, " string number bool duration bytesize " },
	{ "required", "b", 0, NULL },
	{ "missing", "s", 0, NULL },
	{ "default", "snb", 0, NULL },
	{ "allowed", "a", 0, NULL },
	{ "sensitive", "b", 0, NULL },
	{ "aliases", "a", 0, NULL },
	{ "direction", "s", 0, " in out both " },
	{ "profile", "s", 0, NULL },
	{ "example", "s", 0, NULL },
	{ "description", "s", 0, NULL },
	{ NULL, NULL, 0, NULL },
};

static char kind_of(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT: return 'o';
	case JSON_ARRAY: return 'a';
	case JSON_STRING: return 's';
	case JSON_INTEGER:
	case JSON_REAL: return 'n';
	case JSON_TRUE:
	case JSON_FALSE: return 'b';
	default: return '0';
	}
}

static const char *kind_name(char kind)
{
	return kind == 'o'   ? "an object"
	       : kind == 'a' ? "an array"
	       : kind == 's' ? "a string"
	       : kind == 'n' ? "a number"
	       : kind == 'b' ? "true or false"
			     : "nothing";
}

static int is_word(const char *words, const char *text)
{
	char padded[64];

	return snprintf(padded, sizeof(padded), " %s ", text) < (int)sizeof(padded) && strchr(text, ' ') == NULL &&
	       text[0] != '\0' && strstr(words, padded) != NULL;
}

static int check_value(const char *path, const char *place, const struct member *m, const json_t *value)
{
	if (strchr(m->kinds, kind_of(value)) == NULL) {
		fprintf(stderr, "%s: %s\"%s\" must be %s\n", path, place, m->name, kind_name(m->kinds[0]));
		return 1;
	}
	if (m->words == NULL || is_word(m->words, json_string_value(value)))
		return 0;
	fprintf(stderr, "%s: %s\"%s\" is \"%s\", and must be one of:%.*s\n", path, place, m->name,
		json_string_value(value), (int)strlen(m->words) - 1, m->words);
	return 1;
}

static int check_object(const char *path, const char *place, const struct member *members, json_t *object)
{
	const struct member *m;
	const char *name;
	json_t *value;
	int faults = 0;

	if (!json_is_object(object)) {
		fprintf(stderr, "%s: %smust be an object\n", path, place);
		return 1;
	}
	json_object_foreach(object, name, value)
	{
		for (m = members; m->name != NULL && strcmp(m->name, name) != 0; m++)
			;
		if (m->name != NULL) {
			faults += check_value(path, place, m, value);
			continue;
		}
		fprintf(stderr, "%s: %sthere is no member \"%s\"; there are:", path, place, name);
		for (m = members; m->name != NULL; m++)
			fprintf(stderr, " %s", m->name);
		fputc('\n', stderr);
		faults++;
	}
	for (m = members; m->name != NULL; m++) {
		if (!m->must || json_object_get(object, m->name) != NULL)
			continue;
		fprintf(stderr, "%s: %s\"%s\" is missing\n", path, place, m->name);
		faults++;
	}
	return faults;
}

int check_source(const char *path, json_t *source)
{
	int faults = check_object(path, "", of_manifest, source);
	json_t *component, *field;
	char place[160];
	size_t i, k;

	json_array_foreach(json_object_get(source, "components"), i, component)
	{
		snprintf(place, sizeof(place), "component %zu: ", i + 1);
		faults += check_object(path, place, of_component, component);
		json_array_foreach(json_object_get(component, "metadata"), k, field)
		{
			const char *name = json_string_value(json_object_get(field, "name"));

			snprintf(place, sizeof(place), "component %zu: metadata field %zu%s%.64s: ", i + 1, k + 1,
				 name ? ", " : "", name ? name : "");
			faults += check_object(path, place, of_field, field);
		}
	}
	return faults > 0 ? -1 : 0;
}
