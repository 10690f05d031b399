/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client over a Unix socket: dialled, kept, gone, back again. */
#include <sys/stat.h>
#include <sys/un.h>

#include "http_peer.h"

static char folder[64], path[80];

static void bind_unix(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	memcpy(a.sun_path, path, strlen(path) + 1);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(listener, 10), 0);
	pthread_create(&acceptor, NULL, accept_main, NULL);
}

static void stop_listening(void)
{
	shutdown(listener, SHUT_RDWR);
	pthread_join(acceptor, NULL);
	close(listener);
	listener = -1;
}

static void make_folder(void)
{
	set_up();
	serve = serve_hello;
	strcpy(folder, "/tmp/davit-unix-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a.sock", folder);
	options.host = str_of(path);
}

static void drop_folder(void)
{
	tear_down();
	unlink(path);
	rmdir(folder);
}

static void expect_hello(void)
{
	struct http_request q = get("/x");
	struct arena *a = arena_new();
	struct http_call *c;
	struct str body;
	struct error e = http_client_request(client, &q, a, &c);

	ck_assert_msg(!error_is(&e), "%s", e.message.p);
	ck_assert_int_eq(c->status, 200);
	e = http_call_read_all(c, 100, &body);
	ck_assert(!error_is(&e) && str_is(body, "hello"));
	http_call_close(c);
	arena_unref(a);
}

static void expect_refusal(const char *why)
{
	struct http_request q = get("/x");
	struct arena *a = arena_new();
	struct http_call *c;
	struct error e = http_client_request(client, &q, a, &c);

	ck_assert_int_eq(e.code, ERROR_UNAVAILABLE);
	ck_assert_str_eq(e.message.p, why);
	arena_unref(a);
}

static void two_gets(void)
{
	expect_hello();
	expect_hello();
	ck_assert_int_eq(http_client_connections(client), 1);
}

START_TEST(a_path_is_a_unix_socket)
{
	bind_unix();
	on_fiber(two_gets);
	ck_assert_int_eq(accepted, 1);
	ck_assert_str_eq(heard, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
}
END_TEST

static void nobody(void)
{
	char why[200];

	snprintf(why, sizeof(why), "dial unix %s: connect: no such file or directory", path);
	expect_refusal(why);
}

static void left_behind(void)
{
	char why[200];

	snprintf(why, sizeof(why), "dial unix %s: connect: connection refused", path);
	expect_refusal(why);
}

START_TEST(a_socket_that_comes_late_and_goes)
{
	on_fiber(nobody);
	bind_unix();
	on_fiber(expect_hello);
	loop_call(loop, free_client, NULL);
	stop_listening(); /* the file stays */
	on_fiber(left_behind);
	unlink(path);
	on_fiber(nobody);
	bind_unix();
	on_fiber(expect_hello);
}
END_TEST

static void too_long(void)
{
	char why[300];

	snprintf(why, sizeof(why), "dial unix " STR_FMT ": connect: the path is too long", STR_ARG(options.host));
	expect_refusal(why);
}

START_TEST(a_path_longer_than_a_socket_may_have)
{
	static char name[140];

	memset(name, 'a', sizeof(name) - 1);
	name[0] = '/';
	options.host = str_of(name);
	on_fiber(too_long);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("httpunix");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, make_folder, drop_folder);
	tcase_add_test(t, a_path_is_a_unix_socket);
	tcase_add_test(t, a_socket_that_comes_late_and_goes);
	tcase_add_test(t, a_path_longer_than_a_socket_may_have);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *r = srunner_create(make_suite());
	int failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
