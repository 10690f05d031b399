/* SPDX-License-Identifier: Apache-2.0 */
/* The server as a whole: addresses, limits, draining and closing. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "http_rig.h"

#define HOST "Host: h\r\n"

static void setup(void)
{
	rig_prepare();
	rig_start_loops();
}

static struct http_server *listen_on(const char *host, int port)
{
	struct str message;

	return http_listen_tcp(&rig.o, rig.loops, RIG_LOOPS, host, port, rig.arena, &message);
}

static void setup_started(void)
{
	setup();
	rig.s = listen_on("127.0.0.1", 0);
	ck_assert_ptr_nonnull(rig.s);
}

static int get(int fd, const char *path, struct buf *b)
{
	char text[128];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", path);
	put_text(fd, text);
	b->n = 0;
	return take_reply(fd, b, 2000);
}

START_TEST(taken_port_is_refused)
{
	struct str message = STR_NONE;
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1, port = http_server_port(rig.s);
	char wanted[128];

	ck_assert_ptr_null(http_listen_tcp(&rig.o, rig.loops, RIG_LOOPS, "127.0.0.1", port, rig.arena, &message));
	snprintf(wanted, sizeof(wanted), "listen tcp 127.0.0.1:%d: bind: address already in use", port);
	ck_assert_str_eq(message.p, wanted);
	ck_assert_ptr_null(listen_on("", port));
	/* Nor is one shared with somebody who would share it. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&at, &n);
	ck_assert_ptr_null(listen_on("127.0.0.1", ntohs(at.sin_port)));
	close(fd);
}
END_TEST

START_TEST(all_loops_accept)
{
	struct buf b = buf_init();
	int fds[64], i, on[RIG_LOOPS] = { 0 };

	for (i = 0; i < 64; i++) {
		fds[i] = dial();
		ck_assert_int_eq(get(fds[i], "/loop", &b), 1);
		on[strtol(strstr(b.p, "\r\n\r\n") + 4, NULL, 10)]++;
	}
	for (i = 0; i < RIG_LOOPS; i++)
		ck_assert_int_gt(on[i], 5);
	for (i = 0; i < 64; i++)
		close(fds[i]);
	buf_free(&b);
}
END_TEST

START_TEST(every_address_means_both_families)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct buf b = buf_init();
	int fd;

	rig.s = listen_on("", 0);
	ck_assert_ptr_nonnull(rig.s);
	fd = dial();
	ck_assert_int_eq(get(fd, "/peer", &b), 1);
	ck_assert_ptr_nonnull(strstr(b.p, "\r\n\r\n127.0.0.1:"));
	close(fd);
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	to.sin6_port = htons((uint16_t)http_server_port(rig.s));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
		ck_assert_int_eq(get(fd, "/peer", &b), 1);
		ck_assert_ptr_nonnull(strstr(b.p, "\r\n\r\n[::1]:"));
	}
	close(fd);
	buf_free(&b);
}
END_TEST

START_TEST(names_and_bad_addresses)
{
	struct str message = STR_NONE;

	rig.s = listen_on("localhost", 0);
	ck_assert_ptr_nonnull(rig.s);
	close(dial()); /* which goes to 127.0.0.1 */
	ck_assert_ptr_null(http_listen_tcp(&rig.o, rig.loops, RIG_LOOPS, "256.1.1.1", 0, rig.arena, &message));
	ck_assert_ptr_nonnull(strstr(message.p, "listen tcp 256.1.1.1:0: "));
	ck_assert_ptr_null(http_listen_tcp(&rig.o, rig.loops, RIG_LOOPS, "192.0.2.1", 0, rig.arena, &message));
	ck_assert_ptr_nonnull(strstr(message.p, "bind: "));
}
END_TEST

static int dial_unix(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(to.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

START_TEST(unix_socket_serves_and_goes)
{
	struct sockaddr_un stale = { .sun_family = AF_UNIX };
	struct str message = STR_NONE;
	struct buf b = buf_init();
	char path[64];
	int fd, i;

	snprintf(path, sizeof(path), "/tmp/u-http-server-%d.sock", (int)getpid());
	memcpy(stale.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&stale, sizeof(stale)), 0);
	close(fd); /* its file is left behind */
	rig.s = http_listen_unix(&rig.o, rig.loops, RIG_LOOPS, path, rig.arena, &message);
	ck_assert_msg(rig.s != NULL, STR_FMT, STR_ARG(message));
	for (i = 0; i < 10; i++) {
		fd = dial_unix(path);
		ck_assert_int_eq(get(fd, "/peer", &b), 1);
		ck_assert_ptr_nonnull(strstr(b.p, "\r\n\r\nunix"));
		close(fd);
	}
	ck_assert_ptr_null(http_listen_unix(&rig.o, rig.loops, RIG_LOOPS, path, rig.arena, &message));
	ck_assert_ptr_nonnull(strstr(message.p, "address already in use"));
	http_server_drain(rig.s);
	ck_assert_int_lt(dial_unix(path), 0);
	ck_assert_int_ne(access(path, F_OK), 0);
	buf_free(&b);
}
END_TEST

START_TEST(a_file_is_not_a_stale_socket)
{
	struct str message = STR_NONE;
	char path[64], too_long[200];
	int fd;

	snprintf(path, sizeof(path), "/tmp/u-http-server-%d.file", (int)getpid());
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	ck_assert_ptr_null(http_listen_unix(&rig.o, rig.loops, RIG_LOOPS, path, rig.arena, &message));
	ck_assert_int_eq(access(path, F_OK), 0);
	close(fd);
	unlink(path);
	memset(too_long, 'x', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = '\0';
	ck_assert_ptr_null(http_listen_unix(&rig.o, rig.loops, RIG_LOOPS, too_long, rig.arena, &message));
	ck_assert_ptr_nonnull(strstr(message.p, "longer than"));
	rig.s = listen_on("", 0);
}
END_TEST

static int wait_for_connections(int n)
{
	int i;

	for (i = 0; i < 200 && http_server_connections(rig.s) != n; i++)
		rig_nap(5);
	return http_server_connections(rig.s);
}

START_TEST(connections_over_the_limit_get_503)
{
	struct buf b = buf_init();
	int fds[8], i;

	rig.o.connection_limit = 8;
	rig.s = listen_on("127.0.0.1", 0);
	for (i = 0; i < 8; i++) {
		fds[i] = dial();
		ck_assert_int_eq(get(fds[i], "/a", &b), 1);
	}
	b.n = 0;
	i = dial();
	put_text(i, "GET / HTTP/1.1\r\n" HOST "\r\n");
	ck_assert_int_eq(take_all(i, &b, 1000), 1);
	ck_assert_msg(strncmp(b.p, "HTTP/1.1 503 Service Unavailable\r\n", 34) == 0, "%s", b.p);
	close(i);
	close(fds[0]);
	ck_assert_int_eq(wait_for_connections(7), 7);
	fds[0] = dial();
	ck_assert_int_eq(get(fds[0], "/a", &b), 1);
	ck_assert_int_eq(strncmp(b.p, "HTTP/1.1 200 OK\r\n", 17), 0);
	for (i = 0; i < 8; i++)
		close(fds[i]);
	buf_free(&b);
}
END_TEST

static void refuse(void *ctx, struct http_exchange *x)
{
	ck_assert_ptr_eq(ctx, &rig);
	http_reply(x, 503, rig_text, 1, STR("no fiber"));
}

START_TEST(calls_over_the_fibers_are_refused)
{
	struct buf b = buf_init();
	int fds[5], i;

	for (i = 0; i < 4; i++) {
		fds[i] = dial();
		put_text(fds[i], "GET /wait HTTP/1.1\r\n" HOST "\r\n");
	}
	for (i = 0; i < 100 && http_server_exchanges(rig.s) < 4; i++)
		rig_nap(2);
	fds[4] = dial();
	ck_assert_int_eq(get(fds[4], "/a", &b), 1);
	ck_assert_int_eq(strncmp(b.p, "HTTP/1.1 503 Service Unavailable\r\n", 34), 0);
	ck_assert_int_eq(strstr(b.p, "no fiber") != NULL, rig.o.refuse != NULL);
	for (i = 0; i < 4; i++) {
		b.n = 0;
		ck_assert_int_eq(take_reply(fds[i], &b, 2000), 1);
		ck_assert_ptr_nonnull(strstr(b.p, "you stayed"));
	}
	ck_assert_int_eq(get(fds[4], "/a", &b), 1); /* the same connection goes on */
	ck_assert_int_eq(strncmp(b.p, "HTTP/1.1 200 OK\r\n", 17), 0);
	for (i = 0; i < 5; i++)
		close(fds[i]);
	buf_free(&b);
}
END_TEST

static void setup_few_fibers(void)
{
	fiber_limit(4);
	setup_started();
}

static void setup_few_fibers_refuse(void)
{
	rig_prepare();
	rig.o.refuse = refuse;
	fiber_limit(4);
	rig_start_loops();
	rig.s = listen_on("127.0.0.1", 0);
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

START_TEST(without_descriptors_it_waits_and_goes_on)
{
	struct rlimit before, few;
	struct buf b = buf_init();
	int fds[3], i;
	double used;

	for (i = 0; i < 3; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	few.rlim_cur = (rlim_t)fds[2] + 1;
	setrlimit(RLIMIT_NOFILE, &few);
	for (i = 0; i < 3; i++) { /* the kernel lets them in, the server cannot */
		struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)http_server_port(rig.s)) };

		to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&to, sizeof(to)), 0);
	}
	used = cpu_seconds();
	rig_nap(400);
	used = cpu_seconds() - used;
	ck_assert_msg(used < 0.1, "it spins: %.3f s", used);
	ck_assert_int_eq(http_server_connections(rig.s), 0);
	setrlimit(RLIMIT_NOFILE, &before);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(get(fds[i], "/a", &b), 1);
		close(fds[i]);
	}
	buf_free(&b);
}
END_TEST

START_TEST(draining_lets_calls_end)
{
	struct buf b = buf_init();
	int idle = dial(), busy = dial(), fresh = dial(), half = dial();

	ck_assert_int_eq(get(idle, "/a", &b), 1);
	put_text(busy, "GET /slow?1 HTTP/1.1\r\n" HOST "\r\nGET /a HTTP/1.1\r\n" HOST "\r\n");
	put_text(half, "GET /a HTTP/1.1\r\nHos");
	ck_assert_int_eq(wait_for_connections(4), 4);
	rig_nap(10);
	ck_assert_int_eq(http_server_exchanges(rig.s), 1);
	http_server_drain(rig.s);
	http_server_drain(rig.s); /* twice is once */
	b.n = 0;
	ck_assert_int_eq(take_all(idle, &b, 1000), 1);
	ck_assert_uint_eq(b.n, 0);
	ck_assert_int_eq(take_all(fresh, &b, 1000), 1);
	ck_assert_uint_eq(b.n, 0);
	ck_assert_int_eq(take_all(busy, &b, 1000), 1);
	ck_assert_ptr_nonnull(strstr(b.p, "Connection: close\r\n\r\n1"));
	ck_assert_ptr_null(strstr(b.p, "GET /a"));
	b.n = 0;
	put_text(half, "t: h\r\n\r\n"); /* it had begun */
	ck_assert_int_eq(take_all(half, &b, 1000), 1);
	ck_assert_ptr_nonnull(strstr(b.p, "Connection: close\r\n\r\n"));
	close(idle), close(busy), close(fresh), close(half);
	buf_free(&b);
}
END_TEST

START_TEST(closing_cuts_what_does_not_end)
{
	struct buf b = buf_init();
	int64_t start;
	int fd = dial();

	put_text(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
	rig_nap(50);
	start = clock_ms();
	http_server_close(rig.s, 100);
	rig.s = NULL;
	ck_assert_int_lt(clock_ms() - start, 400);
	ck_assert_int_eq(rig.gone, 1);
	take_all(fd, &b, 100);
	ck_assert_ptr_null(b.n ? strstr(b.p, "HTTP") : NULL);
	close(fd);
	buf_free(&b);
}
END_TEST

/* What ends while many connections come and go, on all loops, is counted and freed. */
START_TEST(closing_under_load)
{
	int fds[100], i;

	for (i = 0; i < 100; i++) {
		fds[i] = dial();
		put_text(fds[i], i % 4 == 0   ? "GET /large HTTP/1.1\r\n" HOST "\r\n"
				 : i % 4 == 1 ? "GET /slow?1 HTTP/1.1\r\n" HOST "\r\n"
				 : i % 4 == 2 ? "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc"
					      : "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
		if (i % 7 == 0)
			close(fds[i]), fds[i] = -1;
	}
	rig_nap(20);
	http_server_close(rig.s, 0);
	rig.s = NULL;
	for (i = 0; i < 100; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
END_TEST

static void add(Suite *s, const char *name, void (*before)(void), const TTest *const *tests)
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, before, rig_stop);
	tcase_set_timeout(t, 60);
	for (; *tests != NULL; tests++)
		tcase_add_test(t, *tests);
	suite_add_tcase(s, t);
}

int main(void)
{
	const TTest *const unopened[] = { every_address_means_both_families,  names_and_bad_addresses,
					  unix_socket_serves_and_goes,	      a_file_is_not_a_stale_socket,
					  connections_over_the_limit_get_503, NULL };
	const TTest *const opened[] = { taken_port_is_refused,
					all_loops_accept,
					without_descriptors_it_waits_and_goes_on,
					draining_lets_calls_end,
					closing_cuts_what_does_not_end,
					closing_under_load,
					NULL };
	const TTest *const fibers[] = { calls_over_the_fibers_are_refused, NULL };
	Suite *s = suite_create("http-server");
	SRunner *r;
	int failed;

	add(s, "unopened", setup, unopened);
	add(s, "opened", setup_started, opened);
	add(s, "fibers", setup_few_fibers, fibers);
	add(s, "fibers-refuse", setup_few_fibers_refuse, fibers);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
