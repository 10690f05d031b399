/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/path_label.h"

#include <check.h>
#include <stdlib.h>

#define S(literal) \
	{ \
		literal, sizeof(literal) - 1 \
	} /* STR() for static tables */

static struct arena *a;

static void set_up(void)
{
	a = arena_new();
}

static void tear_down(void)
{
	arena_unref(a);
	arena_drop_stock();
}

static void ck_label(const struct path_patterns *p, int increased, const char *path, const char *want)
{
	char scratch[PATH_LABEL_MAX];
	struct str got = path_label(p, increased, str_of(path), scratch);

	ck_assert_msg(str_is(got, want), "%s: \"" STR_FMT "\" is not \"%s\"", path, STR_ARG(got), want);
}

START_TEST(ids_are_taken_out)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "/", "/" },
		{ "/healthz", "/healthz" },
		{ "/v1.0/healthz", "/v1.0/healthz" },
		{ "v1.0/healthz", "/v1.0/healthz" },
		{ "//v1.0//metadata", "/v1.0/metadata" },
		{ "/v1.0/state/store/key", "/v1.0/state/store" },
		{ "/v1.0/state/store/key/with/many/parts/in/it", "/v1.0/state/store" },
		{ "/v1.0/state/store", "/v1.0/state/store" },
		{ "/v1.0/state/", "/v1.0/state/" },
		{ "/v1.0/secrets/vault/name", "/v1.0/secrets/vault" },
		{ "/v1.0/actors/Demo/1/timer/name", "/v1.0/actors/Demo/{id}/timer" },
		{ "/v1.0/actors/Demo/1/state", "/v1.0/actors/Demo/{id}/state" },
		{ "/v1.0/actors/Demo/1", "/v1.0/actors/Demo/1" },
		{ "/actors/Demo/1/method/m", "actors/Demo/{id}/method/m" },
		{ "/actors/Demo/1/method/m/n/o", "actors/Demo/{id}/method/m/n/o" },
		{ "/actors/Demo", "/actors/Demo" },
		{ "/v1.0/workflows/c/1", "/v1.0/workflows/c/{instanceId}" },
		{ "/v1.0/workflows/c/name/start", "/v1.0/workflows/c/name/start" },
		{ "/v1.0/workflows/c/name/start?x", "/v1.0/workflows/c/name/start" },
		{ "/v1.0/workflows/c/1/pause", "/v1.0/workflows/c/{instanceId}/pause" },
		{ "/v1.0/workflows/c/1/raiseEvent/e", "/v1.0/workflows/c/{instanceId}/raiseEvent/{eventName}" },
		{ "/v1.0/workflows/c/1/raiseEvent/", "/v1.0/workflows/c/{instanceId}/raiseEvent" },
		{ "/v1.0/workflows/c", "/v1.0/workflows/c" },
		{ "/v1.0/invoke/app/method/orders/5", "/v1.0/invoke/app/method/orders/5" },
		{ "/v1.0/publish/p/topic", "/v1.0/publish/p/topic" },
		{ "/v1.0/bindings/b", "/v1.0/bindings/b" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ck_label(NULL, 1, cases[i][0], cases[i][1]);
	ck_label(NULL, 0, "/v1.0/state/store/key", "");
	ck_label(NULL, 0, "/healthz", "");
}
END_TEST

START_TEST(a_long_path_is_cut)
{
	char path[3000], scratch[PATH_LABEL_MAX];

	memset(path, 'x', sizeof(path));
	memcpy(path, "/v1.0/invoke/", 13);
	struct str got = path_label(NULL, 1, (struct str){ path, sizeof(path) }, scratch);

	ck_assert_uint_eq(got.n, PATH_LABEL_MAX - 1);
	memset(path, '/', sizeof(path));
	ck_assert_uint_eq(path_label(NULL, 1, (struct str){ path, sizeof(path) }, scratch).n, 1);
}
END_TEST

static const struct str patterns[] = {
	S("/v1/orders/{orderID}/items/12345"),
	S("/v1/orders/{orderID}/items/{itemID}"),
	S("v1//items/{itemID}"),
	S("/v1/items/{itemID}"),
	S("/tree/"),
	S("/leaf/{$}"),
	S("/files/{path...}"),
	S("/v1.0/state/{store}"),
	S("/v1.0/invoke/{app}/method/direct"),
};

static struct path_patterns *made(int increased, int root)
{
	struct str with_root[sizeof(patterns) / sizeof(*patterns) + 1], message = STR("");
	size_t n = sizeof(patterns) / sizeof(*patterns);

	memcpy(with_root, patterns, sizeof(patterns));
	with_root[n] = STR("/");
	struct path_patterns *p = path_patterns_new(a, with_root, n + (size_t)root, increased, &message);

	ck_assert_msg(p, STR_FMT, STR_ARG(message));
	return p;
}

START_TEST(patterns_name_paths)
{
	static const char *const cases[][2] = {
		{ "/v1/orders/1/items/12345", "/v1/orders/{orderID}/items/12345" },
		{ "/v1/orders/1/items/2", "/v1/orders/{orderID}/items/{itemID}" },
		{ "/v1/orders/1/items", "" },
		{ "/v1/orders//items/2", "" },
		{ "/v1/items/2", "/v1/items/{itemID}" },
		{ "/v1/./x/../items/2", "/v1/items/{itemID}" },
		{ "/tree", "/tree/" },
		{ "/tree/a/b", "/tree/" },
		{ "/leaf/", "/leaf/{$}" },
		{ "/leaf", "/leaf/{$}" },
		{ "/leaf/x", "" },
		{ "/files/a/b", "/files/{path...}" },
		{ "/files/", "/files/{path...}" },
		{ "/v1.0/invoke/me/method/v1/items/2", "/v1.0/invoke/{app_id}/method/v1/items/{itemID}" },
		{ "/v1.0/invoke/me/method/direct", "/v1.0/invoke/{app}/method/direct" },
		{ "/v1.0/state/s/k", "/v1.0/state/{store}" }, /* by its reduced form */
		{ "/healthz", "/healthz" },
		{ "/dapr/config", "/dapr/config" },
		{ "/v1.0/metadata", "" },
		{ "", "" },
	};
	struct path_patterns *p = made(0, 0);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ck_label(p, 0, cases[i][0], cases[i][1]);
	p = made(0, 1);
	ck_label(p, 0, "/v1.0/metadata", "/");
	ck_label(p, 0, "/v1/items/2", "/v1/items/{itemID}");
}
END_TEST

START_TEST(patterns_with_increased_cardinality)
{
	static const char *const cases[][2] = {
		{ "/v1/orders/1/items/2", "/v1/orders/{orderID}/items/{itemID}" },
		{ "/v1.0/metadata", "/v1.0/metadata" },
		{ "/v1.0/secrets/s/k", "/v1.0/secrets/s" },
		{ "/v1.0/state/s/k", "/v1.0/state/{store}" },
		{ "/actors/T/1/method/m", "/actors/T/{id}/method/m" },
		{ "/nothing/known/here", "/nothing/known/here" },
	};
	struct path_patterns *p = made(1, 0);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ck_label(p, 1, cases[i][0], cases[i][1]);
	p = made(1, 1);
	ck_label(p, 1, "/v1.0/metadata", "/");
	ck_label(p, 1, "/v1/items/2", "/v1/items/{itemID}");
}
END_TEST

START_TEST(malformed_patterns_are_named)
{
	static const char *const wrong[] = { "GET /x",	  "/{",	 "/a{b}", "/{a}b",  "/{$}/a",
					     "/{x...}/a", "/{}", "/{1a}", "/{a-b}", "/{...}" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct str one = str_of(wrong[i]), message = STR("");

		ck_assert_msg(!path_patterns_new(a, &one, 1, 0, &message), "%s", wrong[i]);
		ck_assert(str_find(message, one) >= 0);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("path-label");
	TCase *t = tcase_create("path-label");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, ids_are_taken_out);
	tcase_add_test(t, a_long_path_is_cut);
	tcase_add_test(t, patterns_name_paths);
	tcase_add_test(t, patterns_with_increased_cardinality);
	tcase_add_test(t, malformed_patterns_are_named);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? 1 : 0;
}
