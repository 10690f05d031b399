/* SPDX-License-Identifier: Apache-2.0 */
/* The application's side: waiting, its configuration, health, the limit of calls; with applications of plain sockets. */
#include "app/app.h"
#include "app/limit.h"
#include "base/buf.h"
#include "base/log.h"
#include "h2_peer.h"
#include "http_peer.h"
#include "telemetry/metrics.h"

#include <stdarg.h>

static struct loop *second;
static struct loop *loops[2];
static struct app *app;
static struct app_options app_o;
static struct arena *arena;
static char log_path[] = "/tmp/u-app-XXXXXX";
static uv_sem_t ready;
static atomic_int nready, changes[20], nchanges, configured_at_change;

static void on_ready(void *ctx)
{
	(void)ctx;
	nready++;
	uv_sem_post(&ready);
}

static void on_changed(void *ctx, int healthy)
{
	(void)ctx;
	configured_at_change = app_config(app) != NULL;
	changes[nchanges] = healthy;
	nchanges++;
}

static void set_up_app(void)
{
	struct log_options log = { .level = LOG_DEBUG, .app_id = "me", .version = "0" };

	set_up();
	close(mkstemp(log_path));
	log.file = log_path;
	ck_assert_int_eq(log_start(&log), 0);
	second = loop_new(1);
	ck_assert_int_eq(loop_start(second), 0);
	loops[0] = loop;
	loops[1] = second;
	arena = arena_new();
	uv_sem_init(&ready, 0);
	nready = nchanges = 0;
	app = NULL;
	serve = NULL;
	app_o = (struct app_options){ .app_id = STR("me"),
				      .address = STR("127.0.0.1"),
				      .body_limit = 1 << 20,
				      .header_limit = 4096,
				      .health_path = STR("healthz"),
				      .health_interval_ns = 50 * MS,
				      .health_timeout_ns = 40 * MS,
				      .health_threshold = 3,
				      .ready = on_ready,
				      .changed = on_changed };
}

static void tear_down_app(void)
{
	app_free(app);
	tear_down();
	loop_stop(second);
	loop_join(second);
	loop_free(second);
	arena_unref(arena);
	unlink(log_path);
}

static void start_app(void)
{
	struct error e;

	app_o.port = port;
	app = app_new(&app_o, loops, 2, arena, &e);
	ck_assert_ptr_nonnull(app);
	app_start(app);
}

static int log_has(const char *line)
{
	static char text[1 << 20];
	FILE *f = fopen(log_path, "r");
	size_t n = fread(text, 1, sizeof(text) - 1, f);

	fclose(f);
	text[n] = '\0';
	return strstr(text, line) != NULL;
}

static void wait_changes(int n)
{
	int64_t until = in_ms(5000);

	while (nchanges < n && clock_ns() < until)
		usleep(1000);
	ck_assert_int_eq(nchanges, n);
}

static void __attribute__((format(printf, 1, 2))) expect_line(const char *format, ...)
{
	char line[300];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	ck_assert_msg(log_has(line), "the log has no %s", line);
}

/* ---- an application over HTTP: answers /dapr/config and /healthz ---- */

static char config_request[2000], health_request[2000];
static const char *config_answer;
static atomic_int health_status, health_delay, probes, configs;

static void serve_app(int fd, int nth)
{
	char text[2000], status[100];

	(void)nth;
	while (hear(fd, text, sizeof(text), "\r\n\r\n")) {
		if (strncmp(text, "GET /dapr/config ", 17) == 0) {
			configs++;
			memcpy(config_request, text, sizeof(text));
			if (config_answer == NULL)
				wait_close(fd);
			else
				say(fd, config_answer);
			continue;
		}
		if (strncmp(text, "GET /healthz ", 13) != 0)
			return;
		if (probes++ == 0)
			memcpy(health_request, text, sizeof(text));
		poll(NULL, 0, health_delay);
		snprintf(status, sizeof(status), "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok", (int)health_status);
		say(fd, status);
	}
}

#define CONFIG_BODY "{\"entities\":[\"cat\",\"dog\"],\"actorIdleTimeout\":\"1h\"}"
#define CONFIG_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" CONFIG_BODY

START_TEST(it_waits_for_the_port)
{
	listen_at("127.0.0.1", 10);
	close(listener);
	listener = -1;
	start_app();
	poll(NULL, 0, 250);
	ck_assert_int_eq(nready, 0);
	expect_line(
		"application protocol: http. waiting on port %d.  This will block until the app is listening on that "
		"port.",
		port);
	config_answer = CONFIG_ANSWER;
	serve = serve_app;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int on = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	listen(listener, 10);
	pthread_create(&acceptor, NULL, accept_main, NULL);
	uv_sem_wait(&ready);
	expect_line("application discovered on port %d", port);
}
END_TEST

START_TEST(its_configuration_is_asked_for)
{
	char want_text[300];
	const struct app_config *c;

	config_answer = CONFIG_ANSWER;
	app_o.token = STR("secret");
	serve_with(serve_app);
	start_app();
	uv_sem_wait(&ready);
	snprintf(want_text, sizeof(want_text),
		 "GET /dapr/config HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nDapr-App-Id: "
		 "me\r\nDapr-Api-Token: secret\r\n\r\n",
		 port);
	ck_assert_str_eq(config_request, want_text);
	c = app_config(app);
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->all.nentities, 2);
	ck_assert(str_is(c->all.entities[1], "dog"));
	ck_assert(str_is(c->all.idle_timeout, "1h"));
	expect_line("Application configuration loaded");
	ck_assert(!log_has("secret"));
	ck_assert_int_eq(nchanges, 1);
	ck_assert_int_eq(changes[0], 1);
	ck_assert_int_eq(configured_at_change, 1);
	ck_assert_int_eq(app_healthy(app), 1);
}
END_TEST

START_TEST(its_configuration_may_be_skipped)
{
	config_answer = CONFIG_ANSWER;
	app_o.skip_config = 1;
	app_o.max_concurrency = 7;
	serve_with(serve_app);
	start_app();
	uv_sem_wait(&ready);
	ck_assert_int_eq(configs, 0);
	ck_assert_ptr_null(app_config(app));
	expect_line("Skipping programmatic dapr configuration loading (see 'disable-init-endpoints' flag/annotation)");
	expect_line("app max concurrency set to 7");
}
END_TEST

static const struct {
	const char *answer;
	int loaded;
} ODD[] = {
	{ "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", 1 },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0 },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnone", 0 },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"entities\":\"\"}", 0 },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{", 0 },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\nConnection: close\r\n\r\n{", 0 },
	{ "nonsense\r\n\r\n", 0 },
};

static void serve_odd(int fd, int nth)
{
	(void)nth;
	if (hear_head(fd)) {
		configs++;
		say(fd, config_answer);
	}
}

START_TEST(an_odd_configuration_does_not_end_the_start)
{
	config_answer = ODD[_i].answer;
	serve_with(serve_odd);
	start_app();
	uv_sem_wait(&ready);
	ck_assert_int_ge(configs, 1);
	ck_assert_int_eq(app_config(app) != NULL, ODD[_i].loaded);
	ck_assert_int_eq(log_has("Application configuration loaded"), ODD[_i].loaded);
	if (ODD[_i].loaded)
		ck_assert_uint_eq(app_config(app)->all.nentities, 0);
	ck_assert_int_eq(nchanges, 1);
}
END_TEST

START_TEST(there_may_be_no_application)
{
	port = 0;
	app_o.health_check = 1;
	start_app();
	uv_sem_wait(&ready);
	expect_line("App channel is not initialized. Did you configure an app-port?");
	ck_assert(!log_has("waiting on port"));
	ck_assert_int_eq(nchanges, 1);
	ck_assert_int_eq(changes[0], 1);
}
END_TEST

/* ---- health ---- */

static void begin_unhealthy(void *arg)
{
	struct http_request q = get("/x");
	struct http_call *c;
	struct error *e = arg;

	*e = app_begin(app, &q, arena, &c);
}

static void on_loop(void *arg)
{
	ck_assert_int_eq(fiber_start(loop, begin_unhealthy, arg), 0);
}

START_TEST(health_by_http)
{
	struct metrics_options m = { .enabled = 1, .app_id = STR("me") };
	struct str why;
	struct error e = ERROR_NONE;
	struct buf b = buf_init();
	int n;

	app_o.metrics = metrics_new(&m, arena, &why);
	app_o.health_check = 1;
	app_o.token = STR("secret");
	config_answer = CONFIG_ANSWER;
	health_status = 503;
	serve_with(serve_app);
	start_app();
	uv_sem_wait(&ready);
	poll(NULL, 0, 200);
	ck_assert_int_eq(nchanges, 0); /* it has not been healthy yet */
	ck_assert_int_eq(app_healthy(app), 0);
	ck_assert_int_eq(configs, 0);
	loop_call(loop, on_loop, &e);
	ck_assert_int_eq(e.code, ERROR_INTERNAL);
	ck_assert(str_is(e.message, "app is not in a healthy state"));
	ck_assert_ptr_null(strstr(health_request, "secret"));

	health_status = 299;
	wait_changes(1);
	ck_assert_int_eq(changes[0], 1);
	ck_assert_int_eq(configured_at_change, 1);
	expect_line("App entered healthy status");

	health_status = 500;
	n = probes;
	wait_changes(2);
	ck_assert_int_eq(changes[1], 0);
	ck_assert_int_ge(probes - n, 2);
	expect_line("App entered un-healthy status: Health check failed with status code: 500");
	health_status = 200;
	wait_changes(3);
	health_delay = 45; /* beyond the timeout */
	wait_changes(4);
	ck_assert_int_eq(changes[3], 0);
	expect_line("context deadline exceeded");
	health_delay = 0;
	wait_changes(5);
	ck_assert_int_eq(configs, 1); /* asked once */
	app_free(app);
	app = NULL;
	expect_line("App health probes stopping");
	metrics_write(app_o.metrics, &b);
	buf_str(&b);
	ck_assert_ptr_nonnull(strstr(b.p, "dapr_http_healthprobes_completed_count{app_id=\"me\",status=\"500\"}"));
	ck_assert_ptr_nonnull(strstr(b.p, "dapr_http_healthprobes_completed_count{app_id=\"me\",status=\"299\"} "));
	buf_free(&b);
	metrics_free(app_o.metrics);
}
END_TEST

static void serve_every_other(int fd, int nth)
{
	char text[2000];

	(void)nth;
	while (hear(fd, text, sizeof(text), "\r\n\r\n"))
		say(fd, probes++ % 3 == 2 ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
					  : "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
}

START_TEST(only_failures_in_a_row_count)
{
	app_o.health_check = 1;
	app_o.skip_config = 1;
	serve_with(serve_every_other);
	start_app();
	wait_changes(1);
	poll(NULL, 0, 800);
	ck_assert_int_eq(nchanges, 1);
}
END_TEST

START_TEST(an_application_that_goes_is_unhealthy)
{
	app_o.health_check = 1;
	app_o.skip_config = 1;
	health_status = 200;
	serve_with(serve_app);
	start_app();
	wait_changes(1);
	shutdown(listener, SHUT_RDWR);
	pthread_join(acceptor, NULL);
	close(listener);
	listener = -1;
	health_status = 0;
	wait_changes(2);
	ck_assert_int_eq(changes[1], 0);
}
END_TEST

static atomic_int grpc_status;

static void answer_probe(int fd, int nth, uint32_t stream)
{
	(void)nth;
	if (grpc_status == 0) {
		say_well(fd, stream);
		return;
	}
	headers(fd, stream, END_STREAM, GRPC_HEAD "grpc-status: 14\ngrpc-message: not now\n");
}

START_TEST(health_by_grpc)
{
	app_o.channel = APP_CHANNEL_GRPC;
	app_o.health_check = 1;
	answer = answer_probe;
	grpc_status = 0;
	serve_with(serve_frames);
	start_app();
	uv_sem_wait(&ready);
	expect_line("application protocol: grpc. waiting on port %d", port);
	wait_changes(1);
	ck_assert_int_eq(changes[0], 1);
	grpc_status = 14;
	wait_changes(2);
	expect_line("App entered un-healthy status: Probe error: rpc error: code = Unavailable desc = not now");
	expect_line("App health probe could not complete with error: rpc error: code = Unavailable desc = not now");
	grpc_status = 0;
	wait_changes(3);
	ck_assert_ptr_null(app_config(app));
	ck_assert_int_le(accepted, 2); /* one of them looked whether it listens */
}
END_TEST

/* ---- stopping, whatever it is doing ---- */

static void stop_promptly(void)
{
	int64_t start = clock_ns();

	app_free(app);
	app = NULL;
	ck_assert_int_lt(clock_ns() - start, 500 * MS);
	ck_assert_int_eq(nready, 0);
}

START_TEST(stopping_while_it_waits)
{
	listen_at("127.0.0.1", 10);
	close(listener);
	listener = -1;
	start_app();
	poll(NULL, 0, 100 * _i);
	stop_promptly();
}
END_TEST

START_TEST(stopping_while_the_configuration_does_not_come)
{
	config_answer = NULL;
	serve_with(serve_app);
	start_app();
	poll(NULL, 0, 100);
	ck_assert_int_eq(configs, 1);
	stop_promptly();
}
END_TEST

static void stop_in_probe(void)
{
	int64_t start;

	app_o.health_check = 1;
	app_o.health_interval_ns = app_o.health_timeout_ns = 5000 * MS;
	start_app();
	uv_sem_wait(&ready);
	poll(NULL, 0, 100);
	start = clock_ns();
	app_free(app);
	app = NULL;
	ck_assert_int_lt(clock_ns() - start, 500 * MS);
	ck_assert_int_eq(nchanges, 0);
}

static void serve_silence(int fd, int nth)
{
	(void)nth;
	wait_close(fd);
}

START_TEST(stopping_while_a_probe_is_under_way)
{
	app_o.channel = _i ? APP_CHANNEL_GRPC : APP_CHANNEL_HTTP;
	serve_with(serve_silence);
	stop_in_probe();
}
END_TEST

START_TEST(never_started)
{
	struct error e;

	app_o.port = 1;
	app = app_new(&app_o, loops, 2, arena, &e);
	ck_assert_ptr_nonnull(app);
}
END_TEST

/* ---- the limit of calls ---- */

static atomic_int inside, most_inside, calls_left;

static void serve_slowly(int fd, int nth)
{
	(void)nth;
	while (hear_head(fd)) {
		int n = ++inside;

		if (n > most_inside)
			most_inside = n;
		poll(NULL, 0, 5);
		inside--;
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	}
}

static void call_the_app(void *arg)
{
	struct arena *a = arena_new();
	struct http_request q = get("/x");
	struct http_call *c;
	struct str body;
	struct error e = app_begin(app, &q, a, &c);

	(void)arg;
	ck_assert_msg(!error_is(&e), STR_FMT, STR_ARG(e.message));
	e = http_call_head(c);
	ck_assert(!error_is(&e));
	e = http_call_read_all(c, 100, &body);
	ck_assert(!error_is(&e) && str_is(body, "ok"));
	app_end(app, c);
	arena_unref(a);
	calls_left--;
}

static void start_calls(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 50; i++)
		ck_assert_int_eq(fiber_start(loop_self(), call_the_app, NULL), 0);
}

START_TEST(the_limit_holds_over_all_loops)
{
	int64_t until = in_ms(10000);

	app_o.skip_config = 1;
	app_o.max_concurrency = 3;
	serve_with(serve_slowly);
	start_app();
	uv_sem_wait(&ready);
	calls_left = 100;
	loop_call(loops[0], start_calls, NULL);
	loop_call(loops[1], start_calls, NULL);
	while (calls_left > 0 && clock_ns() < until)
		usleep(1000);
	ck_assert_int_eq(calls_left, 0);
	ck_assert_int_eq(most_inside, 3);
}
END_TEST

static void wait_too_long(void)
{
	struct app_limit *l = app_limit_new(1);
	int64_t start = clock_ns();

	ck_assert_int_eq(app_limit_enter(l, 0, NULL), 0);
	ck_assert_int_eq(app_limit_enter(l, start + 50 * MS, NULL), -1);
	ck_assert_int_ge(clock_ns() - start, 49 * MS);
	app_limit_leave(l);
	ck_assert_int_eq(app_limit_enter(l, start, NULL), 0); /* it is free: nothing to wait for */
	app_limit_leave(l);
	app_limit_free(l);
}

START_TEST(waiting_in_line_has_its_time)
{
	port = 1;
	on_fiber(wait_too_long);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("app");
	TCase *t = tcase_create("app");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up_app, tear_down_app);
	tcase_add_test(t, it_waits_for_the_port);
	tcase_add_test(t, its_configuration_is_asked_for);
	tcase_add_test(t, its_configuration_may_be_skipped);
	tcase_add_loop_test(t, an_odd_configuration_does_not_end_the_start, 0, COUNT(ODD));
	tcase_add_test(t, there_may_be_no_application);
	tcase_add_test(t, health_by_http);
	tcase_add_test(t, only_failures_in_a_row_count);
	tcase_add_test(t, an_application_that_goes_is_unhealthy);
	tcase_add_test(t, health_by_grpc);
	tcase_add_loop_test(t, stopping_while_it_waits, 0, 2);
	tcase_add_test(t, stopping_while_the_configuration_does_not_come);
	tcase_add_loop_test(t, stopping_while_a_probe_is_under_way, 0, 2);
	tcase_add_test(t, never_started);
	tcase_add_test(t, the_limit_holds_over_all_loops);
	tcase_add_test(t, waiting_in_line_has_its_time);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
