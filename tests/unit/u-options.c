/* SPDX-License-Identifier: Apache-2.0 */
#include "main/options.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/version.h"

static struct arena *a;
static struct options o;
static struct str message;

static void set_up(void)
{
	unsetenv("DAPR_CONTROLPLANE_NAMESPACE");
	unsetenv("DAPR_CONTROLPLANE_TRUST_DOMAIN");
	unsetenv("DAPR_SCHEDULER_HOST_ADDRESS_DNS_A");
	unsetenv("DAVIT_PLUGINS_PATH");
	a = arena_new();
}

static void tear_down(void)
{
	arena_unref(a);
	arena_drop_stock();
}

/* The words of one line as a command line; '' is an empty word. */
static enum options_action parse(const char *line)
{
	char *argv[64] = { (char *)"/usr/bin/davitd" };
	int argc = 1;
	struct str rest = str_of(line), word;

	while (str_split(&rest, ' ', &word))
		if (word.n)
			argv[argc++] = (char *)arena_str(a, str_is(word, "''") ? STR("") : word).p;
	return options_parse(argc, argv, a, &o, &message);
}

static int checked(const char *line)
{
	ck_assert_int_eq(parse(line), OPTIONS_RUN);
	return options_check(a, &o, &message);
}

static void ck_str(struct str s, const char *want)
{
	ck_assert_msg(str_is(s, want), "\"" STR_FMT "\" is not \"%s\"", STR_ARG(s), want);
}

static void ck_has(struct str s, const char *part)
{
	ck_assert_msg(str_find(s, str_of(part)) >= 0, "\"" STR_FMT "\" lacks \"%s\"", STR_ARG(s), part);
}

START_TEST(defaults_are_daprs)
{
	ck_assert_int_eq(checked("--app-id x"), 0);
	ck_str(o.mode, "standalone");
	ck_str(o.dapr_http_port, "3500");
	ck_str(o.dapr_grpc_port, "50001");
	ck_str(o.profile_port, "7777");
	ck_str(o.metrics_port, "9090");
	ck_str(o.metrics_listen_address, "0.0.0.0");
	ck_str(o.app_channel_address, "127.0.0.1");
	ck_str(o.app_health_check_path, "/healthz");
	ck_str(o.control_plane_trust_domain, "localhost");
	ck_str(o.control_plane_namespace, "default");
	ck_str(o.log_level, "info");
	ck_str(o.allowed_origins, "");
	ck_str(o.app_port, "");
	ck_assert(o.app_port.p && o.app_port.p[0] == 0);
	ck_assert_int_eq(o.app_max_concurrency, 0);
	ck_assert_int_eq(o.app_health_probe_interval, 5);
	ck_assert_int_eq(o.app_health_probe_timeout, 500);
	ck_assert_int_eq(o.app_health_threshold, 3);
	ck_assert_int_eq(o.app_binding_options_timeout, INT64_C(3000000000));
	ck_assert_int_eq(o.actors_disseminate_timeout, INT64_C(30000000000));
	ck_assert_int_eq(o.hot_reload_reconcile_interval, 0);
	ck_assert_int_eq(o.dapr_block_shutdown_duration, -1);
	ck_assert_int_eq(o.dapr_graceful_shutdown_seconds, 5);
	ck_assert_int_eq(o.scheduler_job_streams, 3);
	ck_assert_int_eq(o.max_body_size, 4 << 20);
	ck_assert_int_eq(o.read_buffer_size, 4 << 10);
	ck_assert_int_eq(o.enable_metrics, 1);
	ck_assert_int_eq(o.enable_api_logging, -1);
	ck_assert_int_eq(o.enable_mtls, 0);
	ck_assert_int_eq(o.resources_path.n, 0);
	ck_assert_int_eq(o.plugins_path.n, 0);
	ck_assert_int_eq(o.listen.n, 1);
	ck_str(o.listen.at[0], "");
	ck_assert_int_eq(o.number.http_port, 3500);
	ck_assert_int_eq(o.number.public_port, -1);
	ck_assert_int_eq(o.number.app_port, 0);
	ck_assert(o.number.internal_grpc_port > 0);
	ck_assert_int_eq(o.protocol, APP_PROTOCOL_HTTP);
	ck_assert(o.loops >= 1 && o.loops <= 4);
}
END_TEST

START_TEST(every_form_of_a_flag)
{
	ck_assert_int_eq(checked("-app-id x -dapr-http-port=1 --dapr-grpc-port 2 --enable-mtls -log-as-json=T "
				 "--enable-metrics=false -app-max-concurrency 0x10 stray -- --unknown"),
			 0);
	ck_str(o.app_id, "x");
	ck_assert_int_eq(o.number.http_port, 1);
	ck_assert_int_eq(o.number.grpc_port, 2);
	ck_assert_int_eq(o.enable_mtls, 1);
	ck_assert_int_eq(o.log_as_json, 1);
	ck_assert_int_eq(o.enable_metrics, 0);
	ck_assert_int_eq(o.app_max_concurrency, 16);
	/* The word behind a bool is not its value, as in Dapr. */
	ck_assert_int_eq(parse("--app-id x --enable-mtls false"), OPTIONS_RUN);
	ck_assert_int_eq(o.enable_mtls, 1);
	/* The last one wins. */
	ck_assert_int_eq(parse("--app-id x --app-id=y --max-body-size nonsense --max-body-size 1Ki"), OPTIONS_RUN);
	ck_str(o.app_id, "y");
	ck_assert_int_eq(o.max_body_size, 1024);
}
END_TEST

START_TEST(lists_repeat_or_are_csv)
{
	ck_assert_int_eq(checked("--app-id x --resources-path a,b --resources-path=\"c,d\",e --config '' "
				 "--disable-init-endpoints=Config,,SUBSCRIBE"),
			 0);
	ck_assert_int_eq(o.resources_path.n, 4);
	ck_str(o.resources_path.at[0], "a");
	ck_str(o.resources_path.at[2], "c,d");
	ck_str(o.resources_path.at[3], "e");
	ck_assert_int_eq(o.config.n, 0);
	ck_assert_int_eq(o.disable_init_endpoints.n, 2);
	ck_str(o.disable_init_endpoints.at[0], "config");
	ck_str(o.disable_init_endpoints.at[1], "subscribe");
	ck_assert_int_eq(parse("--resources-path a\"b"), OPTIONS_USAGE);
	ck_has(message, "--resources-path");
	ck_assert_int_eq(parse("--resources-path \"a"), OPTIONS_USAGE);
}
END_TEST

START_TEST(the_environment_fills_what_is_not_given)
{
	setenv("DAPR_CONTROLPLANE_NAMESPACE", "ns", 1);
	setenv("DAPR_CONTROLPLANE_TRUST_DOMAIN", "td", 1);
	setenv("DAPR_SCHEDULER_HOST_ADDRESS_DNS_A", "s1:1,s2:2", 1);
	setenv("DAVIT_PLUGINS_PATH", "/p,1:/p2::", 1);
	ck_assert_int_eq(parse("--app-id x"), OPTIONS_RUN);
	ck_str(o.control_plane_namespace, "ns");
	ck_str(o.control_plane_trust_domain, "td");
	ck_assert_int_eq(o.scheduler_host_address.n, 2);
	ck_str(o.scheduler_host_address.at[1], "s2:2");
	ck_assert_int_eq(o.plugins_path.n, 2);
	ck_str(o.plugins_path.at[0], "/p,1");
	ck_assert_int_eq(parse("--control-plane-namespace=a --control-plane-trust-domain= --scheduler-host-address= "
			       "--plugins-path /q"),
			 OPTIONS_RUN);
	ck_str(o.control_plane_namespace, "a");
	ck_str(o.control_plane_trust_domain, "");
	ck_assert_int_eq(o.scheduler_host_address.n, 0);
	ck_assert_int_eq(o.plugins_path.n, 1);
	ck_str(o.plugins_path.at[0], "/q");
}
END_TEST

START_TEST(the_shell_is_told_of_wrong_usage)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{ "--bogus", "unknown flag: --bogus" },
		{ "-bogus=1", "unknown flag: --bogus" },
		{ "--app-id", "flag needs an argument: --app-id" },
		{ "-x", "unknown shorthand flag: 'x' in -x" },
		{ "---app-id", "bad flag syntax: ---app-id" },
		{ "--=x", "bad flag syntax: --=x" },
		{ "--app-max-concurrency many",
		  "invalid argument \"many\" for \"--app-max-concurrency\" flag: strconv.ParseInt: parsing \"many\": "
		  "invalid syntax" },
		{ "--app-max-concurrency 9223372036854775808", "value out of range" },
		{ "--app-max-concurrency 1x", "invalid syntax" },
		{ "--app-max-concurrency ''", "invalid syntax" },
		{ "--scheduler-job-streams -1", "strconv.ParseUint: parsing \"-1\": invalid syntax" },
		{ "--enable-mtls=maybe", "strconv.ParseBool: parsing \"maybe\": invalid syntax" },
		{ "--app-binding-options-timeout 5", "time: invalid duration \"5\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ck_assert_msg(parse(cases[i].line) == OPTIONS_USAGE, "%s", cases[i].line);
		ck_has(message, cases[i].says);
		ck_has(message, "Usage of davitd:\n      --actors-disseminate-timeout duration");
	}
	ck_assert_int_eq(parse("--app-id x --help"), OPTIONS_HELP);
	ck_has(message, "Usage of davitd:");
	ck_has(message, "--dapr-http-port string");
	ck_assert(str_find(message, STR("--app-ssl")) < 0);
	ck_assert_int_eq(parse("-h"), OPTIONS_HELP);
	ck_assert_int_eq(parse("-help"), OPTIONS_HELP);
}
END_TEST

START_TEST(faults_before_the_log_is_set_up)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{ "--max-body-size lots", "Failed to parse flags: invalid value for 'max-body-size' option" },
		{ "--read-buffer-size ''", "Failed to parse flags: invalid value for 'read-buffer-size' option" },
		{ "--actors-disseminate-timeout 0s", "must be positive, got 0s" },
		{ "--actors-disseminate-timeout=-1m", "must be positive, got -1m0s" },
		{ "--log-level loud", "invalid value for --log-level: loud" },
		{ "--loops 65", "'loops'" },
		{ "--loops=-1", "'loops'" },
		{ "--min-tier gold", "'min-tier'" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ck_assert_msg(parse(cases[i].line) == OPTIONS_FATAL, "%s", cases[i].line);
		ck_has(message, cases[i].says);
	}
	/* As in Dapr the version is printed before the log level is looked at. */
	ck_assert_int_eq(parse("--version --log-level loud"), OPTIONS_PRINT);
}
END_TEST

START_TEST(version_and_build_info)
{
	int major, minor, patch, n = 0;

	ck_assert_int_eq(parse("--version"), OPTIONS_PRINT);
	ck_assert_int_eq(sscanf(message.p, "%d.%d.%d\n%n", &major, &minor, &patch, &n), 3);
	ck_assert_int_eq(n, message.n);
	ck_assert_int_eq(major, 1);
	ck_assert_int_eq(minor, 18);
	ck_assert_int_eq(parse("--build-info"), OPTIONS_PRINT);
	ck_assert(str_starts(message, STR("Version: " DAPR_LEVEL "\nGit Commit: ")));
	ck_has(message, "\nGit Version: ");
	ck_has(message, "\nDavit: " DAVIT_VERSION "\n");
	ck_assert_int_eq(parse("--wait --dapr-http-port 1"), OPTIONS_WAIT);
}
END_TEST

START_TEST(sizes_and_their_old_flags)
{
	static const struct {
		const char *line;
		int64_t body, head;
	} cases[] = {
		{ "--app-id x --max-body-size 1Mi --read-buffer-size 8Ki", 1 << 20, 8 << 10 },
		{ "--app-id x --dapr-http-max-request-size 2 --dapr-http-read-buffer-size 16", 2 << 20, 16 << 10 },
		{ "--app-id x --dapr-http-max-request-size 2 --max-body-size 1M", 1000000, 4 << 10 },
		{ "--app-id x --max-body-size 0 --read-buffer-size=-1", 0, 4 << 10 },
		{ "--app-id x --dapr-http-max-request-size=-1 --dapr-http-read-buffer-size=-1", 4 << 20, 4 << 10 },
		{ "--app-id x --dapr-http-max-request-size=0", 0, 4 << 10 },
		{ "--app-id x --dapr-http-max-request-size=9223372036854775807", INT64_MAX, 4 << 10 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ck_assert_msg(checked(cases[i].line) == 0, "%s", cases[i].line);
		ck_assert_int_eq(o.max_body_size, cases[i].body);
		ck_assert_int_eq(o.read_buffer_size, cases[i].head);
	}
	ck_assert_int_eq(parse("--dapr-http-max-request-size 2 --app-ssl --components-path p"), OPTIONS_RUN);
	ck_assert_int_eq(o.notices.n, 3);
	ck_str(o.notices.at[0], "Flag --dapr-http-max-request-size has been deprecated, use '--max-body-size 4Mi'");
}
END_TEST

START_TEST(odd_values_of_daprs_tools)
{
	ck_assert_int_eq(checked("--app-id x --app-port 0 --profile-port -1 --dapr-listen-addresses '' "
				 "--app-max-concurrency -1 --placement-host-address '' --config '' "
				 "--components-path '' --dapr-graceful-shutdown-seconds -1 --app-protocol '' "
				 "--dapr-internal-grpc-port 0 --app-health-probe-interval 0 "
				 "--app-health-probe-timeout 0 --app-health-threshold 0 --unix-domain-socket ''"),
			 0);
	ck_assert_int_eq(o.number.app_port, 0);
	ck_assert_int_eq(o.number.profile_port, -1);
	ck_assert_int_eq(o.dapr_graceful_shutdown_seconds, 5);
	ck_assert_int_eq(o.app_max_concurrency, 0);
	ck_assert_int_eq(o.protocol, APP_PROTOCOL_HTTP);
	ck_assert(o.number.internal_grpc_port > 0);
	ck_assert_int_eq(o.app_health_probe_interval, 5);
	ck_assert_int_eq(o.app_health_probe_timeout, 500);
	ck_assert_int_eq(o.app_health_threshold, 3);
	ck_assert_int_eq(o.resources_path.n, 0);
	ck_str(o.actors_service, "");
}
END_TEST

START_TEST(faults_of_the_runtime)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{ "", "parameter app-id cannot be empty" },
		{ "--app-id a.b", "parameter app-id cannot contain dots" },
		{ "--app-id x --dapr-http-port http",
		  "error parsing dapr-http-port flag: strconv.Atoi: parsing \"http\": invalid syntax" },
		{ "--app-id x --dapr-http-port ''",
		  "error parsing dapr-http-port flag: strconv.Atoi: parsing \"\": invalid syntax" },
		{ "--app-id x --dapr-grpc-port 0x1",
		  "error parsing dapr-grpc-port flag: strconv.Atoi: parsing \"0x1\": invalid syntax" },
		{ "--app-id x --profile-port 99999999999",
		  "error parsing profile-port flag: strconv.Atoi: parsing \"99999999999\": value out of range" },
		{ "--app-id x --dapr-internal-grpc-port -",
		  "error parsing dapr-internal-grpc-port: strconv.Atoi: parsing \"-\": invalid syntax" },
		{ "--app-id x --dapr-public-port p",
		  "error parsing dapr-public-port: strconv.Atoi: parsing \"p\": invalid syntax" },
		{ "--app-id x --app-port 1.5",
		  "error parsing app-port: strconv.Atoi: parsing \"1.5\": invalid syntax" },
		{ "--app-id x --app-port 3500", "the 'dapr-http-port' argument value 3500 conflicts with 'app-port'" },
		{ "--app-id x --app-port 50001",
		  "the 'dapr-grpc-port' argument value 50001 conflicts with 'app-port'" },
		{ "--app-id x --app-protocol ftp", "invalid value for 'app-protocol': ftp" },
		{ "--app-id x --disable-init-endpoints config,all", "invalid value for 'disable-init-endpoints': all" },
		{ "--app-id x --app-health-probe-interval 1 --app-health-probe-timeout 1001",
		  "value for 'health-probe-timeout' must be smaller than 'health-probe-interval'" },
		{ "--app-id x --mode cloud", "invalid value for 'mode': cloud (standalone or kubernetes)" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ck_assert_msg(checked(cases[i].line) == -1, "%s", cases[i].line);
		ck_str(message, cases[i].says);
	}
	ck_assert_int_eq(checked("--mode kubernetes --app-id a.b"), 0);
}
END_TEST

START_TEST(what_flags_mean_together)
{
	ck_assert_int_eq(checked("--app-id x --app-protocol GRPC --app-ssl --components-path c "
				 "--dapr-listen-addresses 127.0.0.1,::1 --placement-host-address p:1,q:2 "
				 "--actors-service a:b --dapr-public-port 8080 --dapr-block-shutdown-duration=-1s "
				 "--enable-api-logging=false --dapr-internal-grpc-port 4711"),
			 0);
	ck_assert_int_eq(o.protocol, APP_PROTOCOL_GRPCS);
	ck_assert_int_eq(o.resources_path.n, 1);
	ck_str(o.resources_path.at[0], "c");
	ck_assert_int_eq(o.listen.n, 2);
	ck_str(o.listen.at[1], "::1");
	ck_str(o.actors_service, "placement:p:1,q:2");
	ck_assert_int_eq(o.number.public_port, 8080);
	ck_assert_int_eq(o.dapr_block_shutdown_duration, 0);
	ck_assert_int_eq(o.enable_api_logging, 0);
	ck_assert_int_eq(o.number.internal_grpc_port, 4711);
	ck_assert_int_eq(checked("--app-id x --app-protocol https --components-path c --resources-path d "
				 "--min-tier managed --loops 2"),
			 0);
	ck_assert_int_eq(o.protocol, APP_PROTOCOL_HTTPS);
	ck_str(o.resources_path.at[0], "d");
	ck_assert_int_eq(o.loops, 2);
}
END_TEST

START_TEST(the_stable_port)
{
	/* sha256("myapp|/home/me|1000|box") starts with the bytes that give this port; made with sha256sum. */
	ck_assert_int_eq(options_stable_port(STR("myapp"), "/home/me", 1000, "box"), 61239);
	int port = options_internal_port(STR("u-options"));
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_gt(port, 0);
	ck_assert_int_eq(options_internal_port(STR("u-options")), port);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	int other = options_internal_port(STR("u-options"));

	ck_assert_int_gt(other, 0);
	ck_assert_int_ne(other, port);
	close(fd);
}
END_TEST

/* Answers one request with 500, the next with 204. */
static void *sidecar(void *arg)
{
	int listener = *(int *)arg;
	static const char *const answers[] = { "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
					       "HTTP/1.1 204 No Content\r\n\r\n" };

	for (int i = 0; i < 2; i++) {
		char request[512];
		int fd = accept(listener, NULL, NULL);

		if (recv(fd, request, sizeof(request), 0) > 0)
			send(fd, answers[i], strlen(answers[i]), MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

START_TEST(wait_ends_when_a_sidecar_is_ready)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	char line[64], *said = NULL;
	size_t nsaid;
	pthread_t thread;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	FILE *to = open_memstream(&said, &nsaid);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, sidecar, &fd), 0);
	snprintf(line, sizeof(line), "--wait --dapr-http-port %d", ntohs(at.sin_port));
	ck_assert_int_eq(parse(line), OPTIONS_WAIT);
	ck_assert_int_eq(options_wait(&o, to), 1);
	pthread_join(thread, NULL);
	close(fd);
	fclose(to);
	ck_has(str_of(said), "HTTP status code 500");
	ck_has(str_of(said), "outbound ready!");
	free(said);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("options");
	TCase *t = tcase_create("options");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, defaults_are_daprs);
	tcase_add_test(t, every_form_of_a_flag);
	tcase_add_test(t, lists_repeat_or_are_csv);
	tcase_add_test(t, the_environment_fills_what_is_not_given);
	tcase_add_test(t, the_shell_is_told_of_wrong_usage);
	tcase_add_test(t, faults_before_the_log_is_set_up);
	tcase_add_test(t, version_and_build_info);
	tcase_add_test(t, sizes_and_their_old_flags);
	tcase_add_test(t, odd_values_of_daprs_tools);
	tcase_add_test(t, faults_of_the_runtime);
	tcase_add_test(t, what_flags_mean_together);
	tcase_add_test(t, the_stable_port);
	tcase_add_test(t, wait_ends_when_a_sidecar_is_ready);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? 1 : 0;
}
