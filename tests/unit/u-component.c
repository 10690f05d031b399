/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "resources/component.h"

static struct arena *arena;
static struct str problems;
static char unknown[400];

static void set_up(void)
{
	arena = arena_new();
	unknown[0] = '\0';
}

static void tear_down(void)
{
	arena_unref(arena);
}

static void note_unknown(void *arg, const char *path, const struct yaml_node *key)
{
	(void)arg;
	snprintf(unknown + strlen(unknown), sizeof(unknown) - strlen(unknown), "%s@%d ", path, key->line);
}

static struct component *read_component(const char *yaml)
{
	struct field_report r = {
		.arena = arena, .rules = YAML_RESOURCE, .problems = buf_in(arena), .unknown = note_unknown
	};
	struct component *c = arena_zalloc(arena, sizeof(*c));
	struct yaml_fault fault;
	const struct yaml_node *n = yaml_parse(arena, str_of(yaml), 1, &fault);
	int rc;

	ck_assert_msg(n != NULL, "%s", fault.message.p);
	rc = component_read(&r, n, "c.yaml", c);
	problems = buf_str(&r.problems);
	ck_assert_int_eq(rc == 0, problems.n == 0);
	return rc == 0 ? c : NULL;
}

static const char full[] = "apiVersion: dapr.io/v1alpha1\n"
			   "kind: Component\n"
			   "metadata:\n"
			   "  name: statestore\n"
			   "  namespace: prod\n"
			   "  annotations: {b: 2, a: x}\n"
			   "spec:\n"
			   "  type: state.redis\n"
			   "  version: v1\n"
			   "  ignoreErrors: yes\n"
			   "  initTimeout: 1m30s\n"
			   "  metadata:\n"
			   "  - name: redisHost\n"
			   "    value: localhost:6379\n"
			   "  - name: actorStateStore\n"
			   "    value: true\n"
			   "  - name: port\n"
			   "    value: 6379\n"
			   "  - name: options\n"
			   "    value: {b: 1, a: [x]}\n"
			   "  - name: quoted\n"
			   "    value: \"a <b> \\\"c\\\"\"\n"
			   "  - name: redisPassword\n"
			   "    secretKeyRef:\n"
			   "      name: redis\n"
			   "      key: password\n"
			   "  - name: other\n"
			   "    secretKeyRef: {name: only}\n"
			   "  - name: fromEnv\n"
			   "    envRef: REDIS_USER\n"
			   "  - name: nothing\n"
			   "    value:\n"
			   "auth:\n"
			   "  secretStore: vault\n"
			   "scopes:\n"
			   "- app1\n"
			   "- app2\n";

START_TEST(reads_every_field)
{
	struct component *c = read_component(full);

	ck_assert_msg(c != NULL, "%s", problems.p);
	ck_assert_str_eq(c->name.p, "statestore");
	ck_assert_str_eq(c->namespace.p, "prod");
	ck_assert_str_eq(c->type.p, "state.redis");
	ck_assert_str_eq(c->version.p, "v1");
	ck_assert_str_eq(c->log_name.p, "statestore (state.redis/v1)");
	ck_assert_int_eq(c->ignore_errors, 1);
	ck_assert_int_eq(c->init_timeout, INT64_C(90000000000));
	ck_assert_str_eq(c->secret_store.p, "vault");
	ck_assert_uint_eq(c->scopes.n, 2);
	ck_assert_str_eq(c->scopes.p[1].p, "app2");
	ck_assert_uint_eq(c->annotations.n, 2);
	ck_assert_str_eq(c->annotations.p[0].key.p, "a");
	ck_assert_str_eq(c->annotations.p[1].value.p, "2");
	ck_assert_str_eq(c->file, "c.yaml");
	ck_assert_int_eq(c->line, 1);
	ck_assert_uint_eq(c->nitems, 9);
	ck_assert_str_eq(unknown, "");
}
END_TEST

START_TEST(items_have_text_and_json)
{
	struct component *c = read_component(full);
	const struct component_item *i;

	ck_assert_str_eq(component_value(c, "REDISHOST").p, "localhost:6379");
	ck_assert_str_eq(component_item(c, "redisHost")->json.p, "\"localhost:6379\"");
	ck_assert_int_eq(component_item(c, "redisHost")->line, 13);
	ck_assert_str_eq(component_value(c, "actorStateStore").p, "true");
	ck_assert_str_eq(component_value(c, "port").p, "6379");
	ck_assert_str_eq(component_value(c, "options").p, "{\"a\":[\"x\"],\"b\":1}");
	ck_assert_str_eq(component_value(c, "quoted").p, "a <b> \"c\"");
	i = component_item(c, "redisPassword");
	ck_assert_ptr_null(i->json.p);
	ck_assert_str_eq(i->value.p, "");
	ck_assert_str_eq(i->secret.name.p, "redis");
	ck_assert_str_eq(i->secret.key.p, "password");
	i = component_item(c, "other");
	ck_assert_str_eq(i->secret.name.p, "only");
	ck_assert_uint_eq(i->secret.key.n, 0);
	ck_assert_str_eq(component_item(c, "fromEnv")->env.p, "REDIS_USER");
	ck_assert_ptr_null(component_item(c, "nothing")->json.p);
	ck_assert_ptr_null(component_item(c, "missing"));
	ck_assert_str_eq(component_value(c, "missing").p, "");
}
END_TEST

START_TEST(defaults_without_a_spec)
{
	struct component *c = read_component("metadata: {name: a}");

	ck_assert_ptr_nonnull(c);
	ck_assert_str_eq(c->log_name.p, "a ()");
	ck_assert_int_eq(c->init_timeout, COMPONENT_INIT_TIMEOUT);
	ck_assert_int_eq(c->ignore_errors, 0);
	ck_assert_uint_eq(c->nitems, 0);
	ck_assert_uint_eq(c->scopes.n, 0);
	ck_assert_str_eq(c->secret_store.p, "");
	c = read_component("metadata: {name: a}\nspec: {type: state.x, initTimeout: soon}");
	ck_assert_str_eq(c->log_name.p, "a (state.x)");
	ck_assert_int_eq(c->init_timeout, COMPONENT_INIT_TIMEOUT);
}
END_TEST

START_TEST(names_and_versions_may_be_numbers_and_keys_in_any_case)
{
	struct component *c = read_component("METADATA: {Name: 123, namespace: 1.50}\nspec: {version: 017, TYPE: yes}");

	ck_assert_str_eq(c->name.p, "123");
	ck_assert_str_eq(c->namespace.p, "1.5");
	ck_assert_str_eq(c->version.p, "15");
	ck_assert_str_eq(c->type.p, "true");
	c = read_component("metadata: {name: a, name: b}");
	ck_assert_str_eq(c->name.p, "b");
	c = read_component("metadata: {name: ~}\nspec: ~\nauth: null\nscopes:\n");
	ck_assert_str_eq(c->name.p, "");
}
END_TEST

static const struct {
	const char *yaml, *says;
} wrong[] = {
	{ "spec:\n  ignoreErrors: maybe\n",
	  "line 2: spec.ignoreErrors: must be true or false without quotes, not text" },
	{ "spec: {ignoreErrors: \"true\"}", "line 1: spec.ignoreErrors: must be true or false" },
	{ "spec: {ignoreErrors: 1}", "spec.ignoreErrors: must be true or false without quotes, not a number" },
	{ "metadata: {name: [a]}", "metadata.name: must be text, not a list" },
	{ "metadata: hello", "metadata: must be an object (key: value), not text" },
	{ "spec: []", "spec: must be an object (key: value), not a list" },
	{ "spec:\n  metadata:\n    redisHost: x\n", "line 3: spec.metadata: must be a list" },
	{ "spec:\n  metadata:\n  - name: a\n  - b\n", "line 4: spec.metadata[1]: must be an object" },
	{ "spec: {metadata: [{name: a, secretKeyRef: s}]}", "spec.metadata[0].secretKeyRef: must be an object" },
	{ "spec: {metadata: [{name: {}}]}", "spec.metadata[0].name: must be text, not an object" },
	{ "spec: {metadata: [{name: a, value: .inf}]}", "spec.metadata[0].value: JSON has no number for .inf" },
	{ "scopes: app1", "scopes: must be a list" },
	{ "scopes: [[a]]", "scopes[0]: must be text, not a list" },
	{ "[1]", "the document must be an object (key: value), not a list" },
	{ "metadata: {annotations: [a]}", "metadata.annotations: must be an object" },
	{ "spec: {type: []}\nscopes: 5\n",
	  "line 1: spec.type: must be text, not a list\nline 2: scopes: must be a list" },
};

START_TEST(refusals_name_line_field_and_remedy)
{
	ck_assert_ptr_null(read_component(wrong[_i].yaml));
	ck_assert_msg(strstr(problems.p, wrong[_i].says) != NULL, "%s", problems.p);
}
END_TEST

START_TEST(a_value_never_shows_in_a_refusal)
{
	ck_assert_ptr_null(read_component(
		"spec: {metadata: [{name: a, value: s3cret, secretKeyRef: s3cret}], ignoreErrors: s3cret}"));
	ck_assert_ptr_null(strstr(problems.p, "s3cret"));
}
END_TEST

START_TEST(twenty_problems_are_enough)
{
	struct buf b = buf_in(arena);
	int i;

	buf_adds(&b, STR("scopes:\n"));
	for (i = 0; i < 30; i++)
		buf_adds(&b, STR("- [a]\n"));
	ck_assert_ptr_null(read_component(buf_str(&b).p));
	ck_assert_ptr_nonnull(strstr(problems.p, "scopes[19]"));
	ck_assert_ptr_null(strstr(problems.p, "scopes[20]"));
	ck_assert_ptr_nonnull(strstr(problems.p, "and 10 more"));
}
END_TEST

START_TEST(unknown_fields_are_told)
{
	ck_assert_ptr_nonnull(
		read_component("spec:\n  typo: 1\n  metadata:\n  - nam: x\nmetadata: {uid: 5}\nextra: 1\n"));
	ck_assert_str_eq(unknown, "extra@6 metadata.uid@5 spec.typo@2 spec.metadata[0].nam@4 ");
}
END_TEST

START_TEST(sameness_is_of_meaning)
{
	struct component *a = read_component(full), *b = read_component(full), *c;

	ck_assert_int_eq(component_same(a, b), 1);
	b = read_component("metadata: {name: a}\nspec: {type: t, metadata: [{value: 5, name: x}]}");
	c = read_component("spec:\n  metadata:\n  - name: x\n    value: 5\n  type: t\nmetadata:\n  name: a\n");
	ck_assert_int_eq(component_same(b, c), 1);
	c = read_component("metadata: {name: a}\nspec: {type: t, metadata: [{value: '5', name: x}]}");
	ck_assert_int_eq(component_same(b, c), 0);
	c = read_component("metadata: {name: a}\nspec: {type: t, metadata: [{name: x}]}");
	ck_assert_int_eq(component_same(b, c), 0);
	c = read_component("metadata: {name: a}\nspec: {type: t, metadata: [{value: 5, name: x}]}\nscopes: [q]");
	ck_assert_int_eq(component_same(b, c), 0);
	ck_assert_int_eq(component_same(a, c), 0);
}
END_TEST

static const struct {
	const char *name, *allowlist;
	int allowed;
} env[] = {
	{ "PATH", NULL, 1 },
	{ "", NULL, 0 },
	{ "DAPR_API_TOKEN", NULL, 0 },
	{ "dapr_x", NULL, 0 },
	{ "DAPR", NULL, 1 },
	{ "APP_API_TOKEN", NULL, 0 },
	{ "app_api_token", NULL, 0 },
	{ "APP_API_TOKEN2", NULL, 1 },
	{ "A B", NULL, 0 },
	{ "A", "", 1 },
	{ "A", "A B", 1 },
	{ "B", "A B", 1 },
	{ "C", "A B", 0 },
	{ "a", "A B", 1 },
	{ "a", "a b", 0 },
	{ "DAPR_X", "DAPR_X", 0 },
	{ "AB", "A B ABC", 0 },
};

START_TEST(environment_references_obey_the_lists)
{
	ck_assert_msg(component_env_allowed(str_of(env[_i].name), env[_i].allowlist) == env[_i].allowed, "%s in %s",
		      env[_i].name, env[_i].allowlist);
}
END_TEST

#define LOOP(t, test, table) tcase_add_loop_test(t, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
	Suite *s = suite_create("component");
	TCase *t = tcase_create("component");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, reads_every_field);
	tcase_add_test(t, items_have_text_and_json);
	tcase_add_test(t, defaults_without_a_spec);
	tcase_add_test(t, names_and_versions_may_be_numbers_and_keys_in_any_case);
	LOOP(t, refusals_name_line_field_and_remedy, wrong);
	tcase_add_test(t, a_value_never_shows_in_a_refusal);
	tcase_add_test(t, twenty_problems_are_enough);
	tcase_add_test(t, unknown_fields_are_told);
	tcase_add_test(t, sameness_is_of_meaning);
	LOOP(t, environment_references_obey_the_lists, env);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
