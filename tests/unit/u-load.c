/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "failing_malloc.h"
#include "resources/load.h"

static struct arena *arena;
static char folder[64], log_file[80];
static struct error error;

static void set_up(void)
{
	struct log_options o = { .level = LOG_DEBUG, .file = log_file, .app_id = "app", .version = "edge" };

	arena = arena_new();
	snprintf(folder, sizeof(folder), "/tmp/u-load-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(log_file, sizeof(log_file), "%s.log", folder);
	ck_assert_int_eq(log_start(&o), 0);
}

static void tear_down(void)
{
	DIR *d = opendir(folder);
	struct dirent *e;

	while ((e = readdir(d)) != NULL) {
		unlinkat(dirfd(d), e->d_name, 0);
		unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
	rmdir(folder);
	unlink(log_file);
	arena_unref(arena);
}

static void put(const char *name, struct str text)
{
	FILE *f = fopen(arena_printf(arena, "%s/%s", folder, name).p, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text.p, 1, text.n, f), text.n);
	ck_assert_int_eq(fclose(f), 0);
}

static const char *log_text(void)
{
	char *text = arena_alloc(arena, 1 << 20);
	FILE *f = fopen(log_file, "r");
	size_t n = fread(text, 1, (1 << 20) - 1, f);

	text[n] = '\0';
	fclose(f);
	return text;
}

static void logged(const char *what)
{
	ck_assert_msg(strstr(log_text(), what) != NULL, "no \"%s\" in:\n%s", what, log_text());
}

static struct resources *load_as(const char *namespace)
{
	const char *paths[] = { folder };

	return resources_load(paths, 1, STR("app"), str_of(namespace), arena, &error);
}

static struct str component(const char *name, const char *namespace, const char *type, const char *more)
{
	return arena_printf(
		arena,
		"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n name: %s\n%s%s\nspec:\n type: %s\n"
		" version: v1\n%s",
		name, namespace ? " namespace: " : "", namespace ? namespace : "", type, more);
}

static struct str join(struct str a, struct str b)
{
	return arena_printf(arena, STR_FMT "---\n" STR_FMT, STR_ARG(a), STR_ARG(b));
}

static void names_are(const struct resources *r, const char *want)
{
	struct buf b = buf_in(arena);
	size_t i;

	for (i = 0; i < r->ncomponents; i++) {
		buf_adds(&b, r->components[i].name);
		buf_addc(&b, ' ');
	}
	ck_assert_str_eq(buf_str(&b).p, want);
}

START_TEST(reads_yaml_files_by_name_and_only_those)
{
	struct resources *r;

	put("b.yaml", component("b1", NULL, "state.in-memory", ""));
	put("a.YML", join(component("a1", NULL, "state.in-memory", ""), component("a2", NULL, "state.in-memory", "")));
	put("C.Yaml", component("c1", NULL, "state.in-memory", ""));
	put("notes.txt", STR("no"));
	put(".yaml", component("dot", NULL, "state.in-memory", ""));
	put("yaml", STR("no"));
	ck_assert_int_eq(mkdir(arena_printf(arena, "%s/sub.yaml", folder).p, 0700), 0);
	r = load_as("");
	ck_assert_ptr_nonnull(r);
	names_are(r, "dot c1 a1 a2 b1 ");
	ck_assert_uint_eq(r->nfiles, 4);
	ck_assert_uint_eq(r->nskipped, 0);
	ck_assert_int_eq(resources_component(r, STR("a2"))->line, 10);
	ck_assert_ptr_nonnull(strstr(resources_component(r, STR("a2"))->file, "/a.YML"));
	ck_assert_ptr_null(resources_component(r, STR("zz")));
	logged("A non-YAML Component file notes.txt was detected, it will not be loaded");
	resources_unref(r);
}
END_TEST

START_TEST(a_missing_folder_ends_the_load)
{
	const char *paths[] = { folder, "/nowhere/at/all" };

	ck_assert_ptr_null(resources_load(paths, 2, STR("app"), STR(""), arena, &error));
	ck_assert_str_eq(error.tag, "failed to load components");
	ck_assert_ptr_nonnull(strstr(error.message.p, "open /nowhere/at/all: no such file or directory"));
	paths[1] = log_file;
	ck_assert_ptr_null(resources_load(paths, 2, STR("app"), STR(""), arena, &error));
	ck_assert_ptr_nonnull(strstr(error.message.p, "not a directory"));
}
END_TEST

START_TEST(no_folder_is_an_empty_snapshot)
{
	struct resources *r = resources_load(NULL, 0, STR("app"), STR(""), arena, &error);

	ck_assert_ptr_nonnull(r);
	ck_assert_uint_eq(r->ncomponents, 0);
	resources_unref(resources_ref(r));
	resources_unref(r);
}
END_TEST

START_TEST(a_bad_document_is_skipped_and_the_others_go_on)
{
	struct resources *r;

	put("a.yaml", join(join(component("one", NULL, "state.in-memory", ""), STR("a: [1\n")),
			   join(STR("apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: bad}\nspec: "
				    "{ignoreErrors: 5}\n"),
				component("two", NULL, "state.in-memory", ""))));
	put("b.yaml", STR("just text"));
	put("c.yaml", STR(""));
	put("d.yaml", STR("apiVersion: v1\nkind: ConfigMap\n"));
	put("e.yaml", component("a/b", NULL, "state.in-memory", ""));
	put("f.yaml", component("'%'", NULL, "state.in-memory", ""));
	put("g.yaml", component("'..'", NULL, "state.in-memory", ""));
	r = load_as("");
	ck_assert_ptr_nonnull(r);
	names_are(r, "one two ");
	ck_assert_uint_eq(r->nskipped, 6);
	logged("error when parsing manifests yaml resource in ");
	logged("a.yaml: line 11");
	logged("a.yaml: line 15: spec.ignoreErrors: must be true or false");
	logged("b.yaml: line 1: the document must be an object");
	logged("may not contain '/'");
	logged("may not contain '%'");
	logged("may not be '..'");
	resources_unref(r);
}
END_TEST

START_TEST(what_cannot_be_opened_or_is_too_large_is_skipped)
{
	static char large[YAML_FILE_MAX + 2];
	struct resources *r;

	memset(large, '#', sizeof(large) - 1);
	put("large.yaml", (struct str){ large, YAML_FILE_MAX + 1 });
	put("fits.yaml", (struct str){ large, YAML_FILE_MAX });
	put("ok.yaml", component("ok", NULL, "state.in-memory", ""));
	ck_assert_int_eq(symlink("/nowhere", arena_printf(arena, "%s/link.yaml", folder).p), 0);
	ck_assert_int_eq(symlink("ok.yaml", arena_printf(arena, "%s/..2.yaml", folder).p), 0);
	ck_assert_int_eq(symlink("/tmp", arena_printf(arena, "%s/dir.yaml", folder).p), 0);
	ck_assert_int_eq(mkfifo(arena_printf(arena, "%s/fifo.yaml", folder).p, 0600), 0);
	r = load_as("");
	ck_assert_msg(r == NULL, "the link gives the same name once more");
	ck_assert_ptr_nonnull(
		strstr(error.message.p, "duplicate definition of Component name ok (state.in-memory/v1)"));
	logged("link.yaml: no such file or directory");
	logged("dir.yaml: it is no regular file");
	logged("fifo.yaml: it is no regular file");
	logged("large.yaml: it is larger than 1 MiB");
	ck_assert_ptr_null(strstr(log_text(), "fits.yaml"));
}
END_TEST

static struct str same_names(void)
{
	return join(join(join(component("abc", "mynamespace", "state.in-memory", ""),
			      component("abc", NULL, "pubsub.in-memory", "")),
			 join(component("abc", "foobar", "state.in-memory", ""),
			      component("123", NULL, "state.in-memory", ""))),
		    join(component("123", "mynamespace", "state.in-memory", ""),
			 component("123", NULL, "pubsub.in-memory", "")));
}

#define DUP(name, type, old) \
	"duplicate definition of Component name " name " (" type "/v1) with existing " name " (" old "/v1)"

START_TEST(one_name_twice_ends_the_load_with_daprs_words)
{
	put("0.yaml", same_names());
	ck_assert_ptr_null(load_as(""));
	ck_assert_str_eq(error.tag, "failed to load components");
	ck_assert_msg(
		str_starts(error.message,
			   STR(DUP("abc", "pubsub.in-memory", "state.in-memory") "\n" DUP(
				   "abc", "state.in-memory",
				   "state.in-memory") "\n" DUP("123", "state.in-memory",
							       "state.in-memory") "\n" DUP("123", "pubsub.in-memory",
											   "state.in-memory") "\n")),
		"%s", error.message.p);
	ck_assert_ptr_nonnull(strstr(error.message.p, "0.yaml:10 has the name of "));
	ck_assert_ptr_nonnull(strstr(error.message.p, "0.yaml:1: rename or remove one"));
}
END_TEST

START_TEST(another_namespace_is_left_out_before_names_are_compared)
{
	put("0.yaml", same_names());
	ck_assert_ptr_null(load_as("mynamespace"));
	ck_assert_msg(str_starts(error.message, STR(DUP("abc", "pubsub.in-memory", "state.in-memory") "\n" DUP(
							"123", "state.in-memory",
							"state.in-memory") "\n" DUP("123", "pubsub.in-memory",
										    "state.in-memory") "\n")),
		      "%s", error.message.p);
}
END_TEST

START_TEST(namespaces_filter_only_when_both_have_one)
{
	struct resources *r;

	put("0.yaml",
	    join(join(component("abc", "abc", "state.in-memory", ""), component("123", NULL, "state.in-memory", "")),
		 join(component("456", "foobar", "state.in-memory", ""),
		      component("789", "mynamespace", "state.in-memory", ""))));
	r = load_as("mynamespace");
	names_are(r, "123 789 ");
	resources_unref(r);
	r = load_as("");
	names_are(r, "abc 123 456 789 ");
	resources_unref(r);
}
END_TEST

START_TEST(scopes_choose_the_applications)
{
	struct resources *r;

	put("0.yaml", join(component("mine", NULL, "state.in-memory", "scopes: [other, app]\n"),
			   join(component("all", NULL, "state.in-memory", "scopes: []\n"),
				component("theirs", NULL, "state.in-memory", "scopes: [App, app2]\n"))));
	r = load_as("");
	names_are(r, "mine all ");
	resources_unref(r);
	/* a name out of scope is free, but a taken one is taken for all */
	put("1.yaml", component("theirs", NULL, "state.in-memory", ""));
	r = load_as("");
	names_are(r, "mine all theirs ");
	resources_unref(r);
	put("1.yaml", component("mine", NULL, "state.in-memory", "scopes: [other]\n"));
	ck_assert_ptr_null(load_as(""));
	ck_assert_ptr_nonnull(strstr(error.message.p, "duplicate definition of Component name mine"));
}
END_TEST

START_TEST(other_kinds_are_kept_for_those_who_read_them)
{
	struct resources *r;
	const struct resource *s;

	put("0.yaml",
	    STR("apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata: {name: s}\nspec: {topic: t}\nscopes: "
		"[app]\n"
		"---\napiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {name: s}\nscopes: [other]\n"
		"---\napiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {name: s}\n"
		"---\napiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: s}\nspec: {}\n"
		"---\napiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: s}\nspec: {}\n"
		"---\napiVersion: dapr.io/v9\nkind: Component\nmetadata: {name: s}\nspec: {}\n"
		"---\napiVersion: dapr.io/v1alpha1\nkind: HTTPEndpoint\nmetadata: {name: h}\nspec: {baseUrl: "
		"'http://x'}\n"));
	r = load_as("");
	ck_assert_uint_eq(r->of[RESOURCE_SUBSCRIPTION].n, 2);
	s = &r->of[RESOURCE_SUBSCRIPTION].p[0];
	ck_assert_str_eq(s->api_version.p, "dapr.io/v2alpha1");
	ck_assert_str_eq(yaml_at(s->root, "spec.topic")->text.p, "t");
	ck_assert_int_eq(r->of[RESOURCE_SUBSCRIPTION].p[1].line, 12);
	ck_assert_uint_eq(r->of[RESOURCE_RESILIENCY].n, 1);
	ck_assert_uint_eq(r->of[RESOURCE_CONFIGURATION].n, 1);
	ck_assert_uint_eq(r->of[RESOURCE_COMPONENT].n, 0);
	ck_assert_str_eq(r->of[RESOURCE_HTTP_ENDPOINT].p[0].log_name.p, "h (http://x)");
	ck_assert_str_eq(resource_kind_name(RESOURCE_MCP_SERVER), "MCPServer");
	resources_unref(r);
}
END_TEST

START_TEST(same_names_of_other_kinds)
{
	static const char text[] = "apiVersion: dapr.io/v1alpha1\nkind: %s\nmetadata: {name: a}\n";
	struct resources *r;
	struct str one = arena_printf(arena, text, "HTTPEndpoint");

	put("0.yaml", join(one, join(one, component("a", NULL, "state.in-memory", ""))));
	r = load_as("");
	ck_assert_ptr_nonnull(r);
	names_are(r, "a ");
	ck_assert_uint_eq(r->of[RESOURCE_HTTP_ENDPOINT].n, 0);
	logged("failed to load HTTP endpoints: duplicate definition of HTTPEndpoint name a");
	resources_unref(r);
	one = arena_printf(arena, text, "MCPServer");
	put("0.yaml", join(one, one));
	ck_assert_ptr_null(load_as(""));
	ck_assert_str_eq(error.tag, "failed to load mcpservers");
}
END_TEST

START_TEST(misspelt_fields_are_warned_of)
{
	struct resources *r;

	put("0.yaml", component("a", NULL, "state.in-memory", " metdata: []\n"));
	r = load_as("");
	logged("0.yaml:9: spec.metdata is no field of a Component");
	resources_unref(r);
}
END_TEST

START_TEST(too_many_resources_end_the_load)
{
	struct buf b = buf_in(arena);
	int i;

	for (i = 0; i <= RESOURCES_MAX; i++)
		buf_printf(&b, "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: a}\n---\n");
	put("0.yaml", buf_str(&b));
	ck_assert_ptr_null(load_as(""));
	ck_assert_msg(strstr(error.message.p, "more than 10000 resources") != NULL, "%s", error.message.p);
}
END_TEST

START_TEST(a_snapshot_outlives_its_load)
{
	struct resources *r, *again;

	put("0.yaml", component("a", NULL, "state.in-memory", " metadata: [{name: x, value: 5}]\n"));
	r = load_as("");
	again = load_as("");
	ck_assert_ptr_ne(r, again);
	ck_assert_int_eq(component_same(&r->components[0], &again->components[0]), 1);
	resources_ref(r);
	resources_unref(r);
	ck_assert_str_eq(component_value(&r->components[0], "x").p, "5");
	resources_unref(r);
	resources_unref(again);
	resources_unref(NULL);
}
END_TEST

START_TEST(the_nth_allocation_fails)
{
	struct resources *r;
	long n;
	int whole = 0;

	put("0.yaml",
	    join(component("a", NULL, "state.in-memory", " metadata: [{name: x, value: {b: [1, &y q, *y]}}]\n"),
		 component("b", NULL, "state.in-memory", "")));
	put("1.yaml", component("c", NULL, "pubsub.in-memory", "scopes: [app]\n"));
	for (n = 1; !whole; n++) {
		const char *paths[] = { folder };
		struct arena *scratch;
		long before;

		arena_drop_stock();
		before = living;
		scratch = arena_new();
		fail_at = n;
		r = resources_load(paths, 1, STR("app"), STR(""), scratch, &error);
		whole = fail_at != 0;
		fail_at = 0;
		if (r == NULL)
			ck_assert_msg(strstr(error.message.p, "memory") != NULL, "%ld: %s", n, error.message.p);
		else
			ck_assert_uint_eq(r->ncomponents, 3);
		ck_assert(r != NULL || !whole);
		resources_unref(r);
		arena_unref(scratch);
		arena_drop_stock();
		ck_assert_msg(living == before, "allocation %ld: %ld blocks leak", n, living - before);
	}
#ifdef COUNTED
	ck_assert_int_gt(n, 20);
#endif
}
END_TEST

/* Files of nothing much, changed at random: the load ends well or with a message, whatever they hold. */
START_TEST(mangled_files_break_nothing)
{
	uint64_t x = 88172645463325252u + (uint64_t)_i;
	struct str text = join(component("a", "n", "state.in-memory",
					 " metadata: [{name: x, value: {b: [1, &y q, *y]}}]\nscopes: [app]\n"),
			       component("b", NULL, "state.in-memory", "auth: {secretStore: s}\n"));
	int round, k;

	for (round = 0; round < 200; round++) {
		char *copy = arena_alloc(arena, text.n);
		struct resources *r;

		memcpy(copy, text.p, text.n);
		for (k = 0; k < 1 + round % 5; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			copy[(x >> 16) % text.n] = x % 4 ? "[]{}&*!|>'\"%@`,:-?#\n\t <\\~"[(x >> 40) % 26]
							 : (char)(x >> 40);
		}
		put("0.yaml", (struct str){ copy, text.n });
		r = load_as(round % 2 ? "n" : "");
		if (r == NULL)
			ck_assert_uint_gt(error.message.n, 0);
		else
			ck_assert_uint_le(r->ncomponents, 2);
		resources_unref(r);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("load");
	TCase *t = tcase_create("load");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, reads_yaml_files_by_name_and_only_those);
	tcase_add_test(t, a_missing_folder_ends_the_load);
	tcase_add_test(t, no_folder_is_an_empty_snapshot);
	tcase_add_test(t, a_bad_document_is_skipped_and_the_others_go_on);
	tcase_add_test(t, what_cannot_be_opened_or_is_too_large_is_skipped);
	tcase_add_test(t, one_name_twice_ends_the_load_with_daprs_words);
	tcase_add_test(t, another_namespace_is_left_out_before_names_are_compared);
	tcase_add_test(t, namespaces_filter_only_when_both_have_one);
	tcase_add_test(t, scopes_choose_the_applications);
	tcase_add_test(t, other_kinds_are_kept_for_those_who_read_them);
	tcase_add_test(t, same_names_of_other_kinds);
	tcase_add_test(t, misspelt_fields_are_warned_of);
	tcase_add_test(t, too_many_resources_end_the_load);
	tcase_add_test(t, a_snapshot_outlives_its_load);
	tcase_add_test(t, the_nth_allocation_fails);
	tcase_add_loop_test(t, mangled_files_break_nothing, 0, 5);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
