/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/metrics.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define S(literal) \
	{ \
		literal, sizeof(literal) - 1 \
	} /* STR() for static tables */

static struct arena *a;
static struct metrics *m;
static struct str message;

static void set_up(void)
{
	a = arena_new();
	m = NULL;
	message = STR("");
}

static void tear_down(void)
{
	metrics_free(m);
	arena_unref(a);
	arena_drop_stock();
}

static struct metrics_options usual(void)
{
	return (struct metrics_options){ .enabled = 1, .app_id = STR("my\"app"), .increased_cardinality = 1 };
}

static void make(struct metrics_options o)
{
	metrics_free(m);
	m = metrics_new(&o, a, &message);
	ck_assert_msg(m, STR_FMT, STR_ARG(message));
}

static struct str written(void)
{
	struct buf b = buf_init();
	struct str text;

	buf_lit(&b, "\n"); /* so that each line stands between two */
	metrics_write(m, &b);
	ck_assert(!b.failed);
	text = arena_str(a, buf_str(&b));
	buf_free(&b);
	return text;
}

/* Only what is ours: without process_*. */
static struct str ours(void)
{
	struct str text = written();
	ptrdiff_t at = str_find(text, STR("# HELP process_"));

	ck_assert_int_ge(at, 0);
	return str_upto(str_from(text, 1), (size_t)at - 1);
}

static void ck_has(const char *line)
{
	struct str text = written();
	struct str with_end = arena_printf(a, "\n%s\n", line);

	ck_assert_msg(str_find(text, with_end) >= 0, "no line \"%s\" in:" STR_FMT, line,
		      STR_ARG(str_from(text, text.n > 3000 ? text.n - 3000 : 0)));
}

static void ck_lacks(const char *part)
{
	struct str text = written();

	ck_assert_msg(str_find(text, str_of(part)) < 0, "\"%s\" in:" STR_FMT, part,
		      STR_ARG(str_from(text, text.n > 3000 ? text.n - 3000 : 0)));
}

static long value_of(const char *line)
{
	struct str text = written();
	ptrdiff_t at = str_find(text, arena_printf(a, "\n%s ", line));

	return at < 0 ? -1 : (long)strtod(text.p + at + 2 + strlen(line), NULL);
}

START_TEST(text_is_as_gos_client_writes_it)
{
	static const double bounds[] = { 5, 0.5, 0, 1e6, 2.5 };
	struct metrics_options o = usual();

	o.latency_buckets = bounds;
	o.nlatency_buckets = 5;
	o.namespace = STR("ns");
	make(o);
	metrics_state_done(m, STR("store"), STR("get"), 1, 500000);
	metrics_state_done(m, STR("store"), STR("get"), 1, 1234567);
	metrics_state_done(m, STR("store"), STR("get"), 1, 5000000000000);
	metrics_state_done(m, STR("a\\b\n"), STR("get"), 0, 0);
	struct str want = STR(
		"# HELP dapr_component_state_count Operations of state stores.\n"
		"# TYPE dapr_component_state_count counter\n"
		"dapr_component_state_count{app_id=\"my\\\"app\",component=\"a\\\\b_\",namespace=\"ns\",operation="
		"\"get\","
		"success=\"false\"} 1\n"
		"dapr_component_state_count{app_id=\"my\\\"app\",component=\"store\",namespace=\"ns\",operation="
		"\"get\","
		"success=\"true\"} 3\n"
		"# HELP dapr_component_state_latencies Milliseconds a state store took for an operation.\n"
		"# TYPE dapr_component_state_latencies histogram\n"
#define LATENCY "{app_id=\"my\\\"app\",component=\"store\",namespace=\"ns\",operation=\"get\",success=\"true\""
		"dapr_component_state_latencies_bucket" LATENCY ",le=\"0.5\"} 0\n"
		"dapr_component_state_latencies_bucket" LATENCY ",le=\"2.5\"} 2\n"
		"dapr_component_state_latencies_bucket" LATENCY ",le=\"5\"} 2\n"
		"dapr_component_state_latencies_bucket" LATENCY ",le=\"1e+06\"} 2\n"
		"dapr_component_state_latencies_bucket" LATENCY ",le=\"+Inf\"} 3\n"
		"dapr_component_state_latencies_sum" LATENCY "} 5.000001734567e+06\n"
		"dapr_component_state_latencies_count" LATENCY "} 3\n");
	struct str got = ours();

	ck_assert_msg(str_eq(got, want), "got:\n" STR_FMT "want:\n" STR_FMT, STR_ARG(got), STR_ARG(want));
}
END_TEST

START_TEST(default_buckets_are_daprs)
{
	static const char *const le[] = { "1",	  "2",	  "3",	  "4",	   "5",	    "6",     "8",      "10",  "13",
					  "16",	  "20",	  "25",	  "30",	   "40",    "50",    "65",     "80",  "100",
					  "130",  "160",  "200",  "250",   "300",   "400",   "500",    "650", "800",
					  "1000", "2000", "5000", "10000", "20000", "50000", "100000", "+Inf" };

	make(usual());
	metrics_http_done(m, STR("GET"), STR("/v1.0/metadata"), 200, 1024, 1 << 20, 1000000);
	struct str rest = written(), line;
	size_t at = 0, bytes = 0;

	while (str_split(&rest, '\n', &line)) {
		if (str_starts(line, STR("dapr_http_server_latency_bucket"))) {
			ck_assert(at < 35);
			ck_assert(str_find(line, arena_printf(a, ",le=\"%s\"} ", le[at])) > 0);
			/* 1 ms is not below 1: as Dapr's library counts. */
			ck_assert_int_eq(line.p[line.n - 1], at == 0 ? '0' : '1');
			at++;
		}
		if (str_starts(line, STR("dapr_http_server_request_bytes_bucket")))
			bytes++;
	}
	ck_assert_uint_eq(at, 35);
	ck_assert_uint_eq(bytes, 14);
	ck_has("dapr_http_server_request_bytes_bucket{app_id=\"my\\\"app\",le=\"1024\"} 0");
	ck_has("dapr_http_server_request_bytes_bucket{app_id=\"my\\\"app\",le=\"2048\"} 1");
	ck_has("dapr_http_server_response_bytes_bucket{app_id=\"my\\\"app\",le=\"1.048576e+06\"} 0");
	ck_has("dapr_http_server_response_bytes_bucket{app_id=\"my\\\"app\",le=\"4.194304e+06\"} 1");
	ck_has("dapr_http_server_response_bytes_bucket{app_id=\"my\\\"app\",le=\"4.294967296e+09\"} 1");
	ck_has("dapr_http_server_response_bytes_sum{app_id=\"my\\\"app\"} 1.048576e+06");
}
END_TEST

START_TEST(http_labels)
{
	struct metrics_options o = usual();

	o.app_id = STR("x");
	make(o);
	metrics_http_done(m, STR("GET"), STR("/v1.0/state/s/k1"), 200, 0, 10, 1);
	metrics_http_done(m, STR("GET"), STR("/v1.0/state/s/k2"), 200, 0, 10, 1);
	metrics_http_done(m, STR("BREW"), STR("/v1.0/state/s/k2"), 405, 0, 10, 1);
	ck_has("dapr_http_server_request_count{app_id=\"x\",method=\"GET\",path=\"/v1.0/state/s\",status=\"200\"} 2");
	ck_has("dapr_http_server_response_count{app_id=\"x\",method=\"GET\",path=\"/v1.0/state/s\",status=\"200\"} 2");
	ck_has("dapr_http_server_request_count{app_id=\"x\",method=\"UNKNOWN\",path=\"/v1.0/state/s\",status=\"405\"} "
	       "1");
	ck_has("dapr_http_server_request_bytes_count{app_id=\"x\"} 3");
	metrics_http_client_started(m, STR("POST"), STR("/v1.0/secrets/s/k"), 5);
	metrics_http_client_done(m, STR("POST"), STR("/dapr/config"), 404, 5, 1);
	ck_has("dapr_http_client_sent_bytes_sum{app_id=\"x\",method=\"POST\",path=\"/v1.0/secrets/s\",status=\"\"} 5");
	ck_has("dapr_http_client_completed_count{app_id=\"x\",method=\"POST\",path=\"/dapr/config\",status=\"404\"} 1");
	metrics_http_probe_done(m, 200, 1);
	ck_has("dapr_http_healthprobes_completed_count{app_id=\"x\",status=\"200\"} 1");

	o.increased_cardinality = 0;
	o.exclude_verbs = 1;
	make(o);
	metrics_http_done(m, STR("GET"), STR("/v1.0/state/s/k1"), 200, 0, 10, 1);
	ck_has("dapr_http_server_request_count{app_id=\"x\",method=\"\",path=\"\",status=\"200\"} 1");
	ck_lacks("dapr_http_server_response_count");
	metrics_http_done(m, STR("GET"), STR("/healthz"), 404, 0, 10, 1);
	ck_has("dapr_http_server_request_count{app_id=\"x\",method=\"\",path=\"\",status=\"404\"} 1");
	metrics_http_client_done(m, STR("GET"), STR("/dapr/config"), 200, 5, 1);
	metrics_http_client_done(m, STR("GET"), STR("hi/1"), 200, 5, 1);
	ck_has("dapr_http_client_completed_count{app_id=\"x\",method=\"\",path=\"/dapr/config\",status=\"200\"} 1");
	ck_has("dapr_http_client_completed_count{app_id=\"x\",method=\"\",path=\"\",status=\"200\"} 1");
}
END_TEST

START_TEST(path_matching)
{
	static const struct str patterns[] = { S("/orders/{id}") }, wrong[] = { S("/{") };
	struct metrics_options o = usual();

	o.app_id = STR("x");
	o.increased_cardinality = 0;
	o.path_matching = patterns;
	o.npath_matching = 1;
	make(o);
	metrics_http_done(m, STR("GET"), STR("/v1.0/invoke/b/method/orders/9"), 200, 0, 0, 1);
	ck_has("dapr_http_server_request_count{app_id=\"x\",method=\"GET\","
	       "path=\"/v1.0/invoke/{app_id}/method/orders/{id}\",status=\"200\"} 1");
	o.path_matching = wrong;
	ck_assert(!metrics_new(&o, a, &message));
	ck_assert(str_find(message, STR("\"/{\" in pathMatching")) > 0);
}
END_TEST

START_TEST(grpc_labels)
{
	struct metrics_options o = usual();

	o.app_id = STR("x");
	make(o);
	metrics_grpc_done(m, STR("/dapr.proto.runtime.v1.Dapr/GetState"), 0, 7, 9, 3000000);
	metrics_grpc_done(m, STR("/dapr.proto.runtime.v1.Dapr/GetState"), 3, 7, 9, 3000000);
	metrics_grpc_stream_done(m, STR("/a.B/C"), 14, 1);
	metrics_grpc_client_done(m, STR("/a.B/C"), 0, 1, 2, 3);
	metrics_grpc_probe_done(m, 0, 3);
	ck_has("dapr_grpc_io_server_completed_rpcs{app_id=\"x\","
	       "grpc_server_method=\"/dapr.proto.runtime.v1.Dapr/GetState\",grpc_server_status=\"OK\"} 1");
	ck_has("dapr_grpc_io_server_completed_rpcs{app_id=\"x\","
	       "grpc_server_method=\"/dapr.proto.runtime.v1.Dapr/GetState\",grpc_server_status=\"InvalidArgument\"} 1");
	ck_has("dapr_grpc_io_server_completed_rpcs{app_id=\"x\",grpc_server_method=\"/a.B/C\","
	       "grpc_server_status=\"Unavailable\"} 1");
	ck_has("dapr_grpc_io_server_sent_bytes_per_rpc_sum{app_id=\"x\","
	       "grpc_server_method=\"/dapr.proto.runtime.v1.Dapr/GetState\"} 9");
	ck_lacks("dapr_grpc_io_server_received_bytes_per_rpc_sum{app_id=\"x\",grpc_server_method=\"/a.B/C\"}");
	ck_has("dapr_grpc_io_client_received_bytes_per_rpc_sum{app_id=\"x\",grpc_client_method=\"/a.B/C\"} 2");
	ck_has("dapr_grpc_io_healthprobes_completed_count{app_id=\"x\",grpc_client_status=\"OK\"} 1");
}
END_TEST

START_TEST(components_and_errors)
{
	struct metrics_options o = usual();

	o.app_id = STR("x");
	make(o);
	metrics_component_loaded(m);
	metrics_component_init(m, STR("state.redis"));
	metrics_component_init_failed(m, STR("state.redis"), STR("init"), STR("mystore"));
	metrics_component_info(m, STR("mystore"), STR("state.redis"), STR("v1"), STR("state.redis"), STR("standard"),
			       1);
	metrics_secret_done(m, STR("vault"), STR("bulk_get"), 1, 1000000);
	metrics_error_code(m, STR("ERR_STATE_GET"), STR("state"));
	ck_has("dapr_runtime_component_loaded{app_id=\"x\"} 1");
	ck_has("dapr_runtime_component_init_total{app_id=\"x\",component=\"state.redis\"} 1");
	ck_has("dapr_runtime_component_init_fail_total{app_id=\"x\",component=\"state.redis\","
	       "componentName=\"mystore\",reason=\"init\"} 1");
	ck_has("davit_component_info{app_id=\"x\",component=\"mystore\",plugin=\"state.redis\",tier=\"standard\","
	       "type=\"state.redis\",version=\"v1\"} 1");
	ck_has("dapr_component_secret_count{app_id=\"x\",component=\"vault\",namespace=\"\",operation=\"bulk_get\","
	       "success=\"true\"} 1");
	ck_lacks("dapr_error_code_total");
	metrics_component_info(m, STR("mystore"), STR("state.redis"), STR("v1"), STR("state.redis"), STR("standard"),
			       0);
	ck_has("davit_component_info{app_id=\"x\",component=\"mystore\",plugin=\"state.redis\",tier=\"standard\","
	       "type=\"state.redis\",version=\"v1\"} 0");
	o.record_error_codes = 1;
	make(o);
	metrics_error_code(m, STR("ERR_STATE_GET"), STR("state"));
	metrics_error_code(m, STR(""), STR("state"));
	ck_has("dapr_error_code_total{app_id=\"x\",category=\"state\",error_code=\"ERR_STATE_GET\"} 1");
}
END_TEST

START_TEST(rules_rewrite_labels)
{
	static const struct metric_rule rules[] = {
		{ S("dapr_http_server_request_count"), S("path"), S("/orders/\\d+"), S("/orders/{id}") },
		{ S("http/server/request/count"), S("path"), S("^/v1.0/(\\w+)"), S("/$1") },
		{ S("dapr_runtime_component_loaded"), S("app_id"), S("-[0-9a-f]+$"), S("") },
		{ S("dapr_http_server_latency"), S("status"), S("[0-9]{2}$"), S("xx") },
		{ S("dapr_no_such_metric"), S("path"), S("a"), S("b") },
	};
	static const struct metric_rule wrong = { S("dapr_http_server_latency"), S("path"), S("("), S("x") };
	struct metrics_options o = usual();

	o.app_id = STR("app-1f");
	o.rules = rules;
	o.nrules = sizeof(rules) / sizeof(*rules);
	make(o);
	metrics_http_done(m, STR("GET"), STR("/v1.0/invoke/a/method/orders/77"), 503, 0, 0, 1);
	metrics_http_done(m, STR("GET"), STR("/v1.0/invoke/a/method/orders/78"), 504, 0, 0, 1);
	metrics_component_loaded(m);
	ck_has("dapr_http_server_request_count{app_id=\"app-1f\",method=\"GET\","
	       "path=\"/invoke/a/method/orders/{id}\",status=\"503\"} 1");
	ck_has("dapr_http_server_latency_count{app_id=\"app-1f\",method=\"GET\","
	       "path=\"/v1.0/invoke/a/method/orders/77\",status=\"5xx\"} 1");
	ck_has("dapr_runtime_component_loaded{app_id=\"app\"} 1");
	o.rules = &wrong;
	o.nrules = 1;
	ck_assert(!metrics_new(&o, a, &message));
	ck_assert(str_find(message, STR("failed to compile regex for rule dapr_http_server_latency/path/x")) == 0);
}
END_TEST

START_TEST(no_client_exceeds_the_limit)
{
	struct metrics_options o = usual();
	char path[64];

	o.app_id = STR("x");
	o.max_series = 100;
	make(o);
	for (int i = 0; i < 1000; i++) {
		int n = snprintf(path, sizeof(path), "/v1.0/invoke/app%d/method/x", i);

		metrics_http_done(m, STR("GET"), (struct str){ path, (size_t)n }, 200, 1, 1, 1);
	}
	/* One metric's flood leaves room for the others. */
	metrics_state_done(m, STR("s"), STR("get"), 1, 1);
	ck_has("dapr_component_state_count{app_id=\"x\",component=\"s\",namespace=\"\",operation=\"get\","
	       "success=\"true\"} 1");
	struct str rest = written(), line;
	size_t count = 0, total = 0;

	while (str_split(&rest, '\n', &line)) {
		count += str_starts(line, STR("dapr_http_server_request_count{"));
		total += str_starts(line, STR("dapr_")) && str_find(line, STR("_bucket{")) < 0 &&
			 str_find(line, STR("_sum{")) < 0;
	}
	ck_assert_uint_eq(count, 25);
	ck_assert_uint_le(total, 100);
	ck_assert_int_eq(value_of("davit_metric_series_dropped{app_id=\"x\"}"), 3 * 975);
	/* All kinds beyond the limit, with no series at all. */
	o.max_series = 1;
	make(o);
	metrics_component_loaded(m);
	metrics_component_info(m, STR("a"), STR("b"), STR("c"), STR("d"), STR("e"), 7);
	metrics_component_init(m, STR("t"));
	ck_assert_int_eq(value_of("davit_metric_series_dropped{app_id=\"x\"}"), 2);
}
END_TEST

START_TEST(odd_values_stay_labels)
{
	struct metrics_options o = usual();
	char text[1000];

	o.app_id = STR("x");
	make(o);
	memset(text, 'k', sizeof(text));
	metrics_component_init(m, (struct str){ text, sizeof(text) });
	metrics_component_init(m, (struct str)S("a\0b\n\xc3\xa9\""));
	text[255] = 0;
	ck_has(arena_printf(a, "dapr_runtime_component_init_total{app_id=\"x\",component=\"%s\"} 1", text).p);
	ck_has("dapr_runtime_component_init_total{app_id=\"x\",component=\"a_b___\\\"\"} 1");
	metrics_observe(metrics_series(m, METRIC_HTTP_SERVER_REQUEST_BYTES, NULL), -5);
	metrics_observe(metrics_series(m, METRIC_HTTP_SERVER_REQUEST_BYTES, NULL), 1e300);
	metrics_observe(metrics_series(m, METRIC_HTTP_SERVER_REQUEST_BYTES, NULL), 0.0 / 0.0);
	ck_has("dapr_http_server_request_bytes_count{app_id=\"x\"} 2");
	ck_assert(!metrics_series(m, -1, NULL));
	ck_assert(!metrics_series(m, 100000, NULL));
}
END_TEST

START_TEST(disabled_and_null)
{
	struct metrics_options o = usual();

	o.enabled = 0;
	make(o);
	metrics_http_done(m, STR("GET"), STR("/"), 200, 0, 0, 1);
	metrics_state_done(m, STR("s"), STR("get"), 1, 1);
	ck_lacks("dapr_");
	ck_assert_int_gt(value_of("process_resident_memory_bytes"), 100000);
	metrics_http_done(NULL, STR("GET"), STR("/"), 200, 0, 0, 1);
	metrics_grpc_done(NULL, STR("/a/b"), 0, 0, 0, 1);
	metrics_state_done(NULL, STR("s"), STR("get"), 1, 1);
	metrics_add(NULL, 1);
	metrics_set(NULL, 1);
	metrics_observe(NULL, 1);
	metrics_write(NULL, NULL);
	metrics_free(NULL);
}
END_TEST

START_TEST(buckets_are_checked)
{
	static const double negative[] = { 1, -1 };
	struct metrics_options o = usual();

	o.latency_buckets = negative;
	o.nlatency_buckets = 2;
	ck_assert(!metrics_new(&o, a, &message));
	ck_assert(str_find(message, STR("latencyDistributionBuckets")) >= 0);
}
END_TEST

static int64_t fibers(void *arg)
{
	return *(int64_t *)arg;
}

START_TEST(process_and_fibers)
{
	int64_t live = 42;
	struct metrics_options o = usual();

	o.fibers = fibers;
	o.fibers_arg = &live;
	make(o);
	ck_has("go_goroutines 42");
	ck_has("# TYPE go_goroutines gauge");
	ck_has("# TYPE process_cpu_seconds_total counter");
	long open = value_of("process_open_fds");

	ck_assert_int_ge(open, 3);
	int fd = dup(0);

	ck_assert_int_eq(value_of("process_open_fds"), open + 1);
	close(fd);
	ck_assert_int_ge(value_of("process_max_fds"), open);
	ck_assert_int_ge(value_of("process_virtual_memory_bytes"), value_of("process_resident_memory_bytes"));
	ck_assert_int_gt(value_of("process_start_time_seconds"), 1600000000);
	ck_assert_int_ge(value_of("process_cpu_seconds_total"), 0);
	ck_assert(value_of("process_virtual_memory_max_bytes") != 0);
}
END_TEST

START_TEST(others_may_define_metrics)
{
	struct metrics_options o = usual();
	struct str labels[] = { STR("1"), STR("2") };
	int id;

	o.app_id = STR("x");
	o.namespace = STR("ns");
	make(o);
	id = metrics_define(m, STR("davit_pool_size"), STR("Size\nof it."), METRIC_GAUGE, METRIC_NUMBER,
			    STR("component,zone"));
	ck_assert_int_ge(id, METRIC_TABLE_SIZE);
	ck_assert_int_eq(metrics_define(m, STR("davit_pool_size"), STR(""), METRIC_GAUGE, METRIC_NUMBER,
					STR("component,zone")),
			 id);
	metrics_set(metrics_series(m, id, labels), -3);
	ck_has("davit_pool_size{app_id=\"x\",component=\"1\",namespace=\"ns\",zone=\"2\"} -3");
	ck_has("# HELP davit_pool_size Size\\nof it.");
	int ms = metrics_define(m, STR("zz_wait"), STR("w"), METRIC_HISTOGRAM, METRIC_MS, STR(""));

	ck_assert_int_eq(ms, id + 1);
	metrics_observe(metrics_series(m, ms, NULL), 1.5);
	ck_has("zz_wait_sum{app_id=\"x\",namespace=\"ns\"} 1.5");
	/* Another meaning, bad names, reserved names. */
	ck_assert_int_eq(metrics_define(m, STR("davit_pool_size"), STR(""), METRIC_COUNTER, METRIC_NUMBER,
					STR("component,zone")),
			 -1);
	ck_assert_int_eq(metrics_define(m, STR("davit_pool_size"), STR(""), METRIC_GAUGE, METRIC_NUMBER, STR("a")), -1);
	ck_assert_int_eq(metrics_define(m, STR("dapr_http_server_latency"), STR(""), METRIC_GAUGE, METRIC_NUMBER,
					STR("")),
			 -1);
	ck_assert_int_eq(metrics_define(m, STR("9x"), STR(""), METRIC_GAUGE, METRIC_NUMBER, STR("")), -1);
	ck_assert_int_eq(metrics_define(m, STR("a b"), STR(""), METRIC_GAUGE, METRIC_NUMBER, STR("")), -1);
	ck_assert_int_eq(metrics_define(m, STR("process_x"), STR(""), METRIC_GAUGE, METRIC_NUMBER, STR("")), -1);
	ck_assert_int_eq(metrics_define(m, STR("ok"), STR(""), METRIC_GAUGE, METRIC_NUMBER, STR("le")), -1);
	ck_assert_int_eq(metrics_define(m, STR("ok"), STR(""), METRIC_GAUGE, METRIC_NUMBER, STR("a,a")), -1);
	ck_assert_int_eq(metrics_define(m, STR("ok"), STR(""), METRIC_GAUGE, METRIC_NUMBER, STR("app_id")), -1);
	ck_assert_int_eq(metrics_define(m, STR("ok"), STR(""), METRIC_GAUGE, METRIC_NUMBER, STR("a,b,c,d,e,f,g")), -1);
	ck_assert_int_eq(metrics_define(m, STR("ok"), STR(""), METRIC_GAUGE, METRIC_MS, STR("")), -1);
	for (int i = 0; i < METRICS_DEFINED_MAX; i++)
		id = metrics_define(m, arena_printf(a, "many_%d", i), STR(""), METRIC_GAUGE, METRIC_NUMBER, STR(""));
	ck_assert_int_eq(id, -1);
}
END_TEST

#define THREADS 4
#define ROUNDS 20000

static void *record(void *arg)
{
	char path[64];

	for (int i = 0; i < ROUNDS; i++) {
		int n = snprintf(path, sizeof(path), "/v1.0/invoke/app%d/method/x", i % 200);

		metrics_http_done(m, STR("GET"), (struct str){ path, (size_t)n }, 200, 10, 20, 1500000);
		metrics_state_done(m, STR("s"), STR("get"), 1, 1500000);
		if (i % 5000 == 0) {
			struct buf b = buf_init();

			metrics_define(m, STR("a_metric"), STR("of all"), METRIC_COUNTER, METRIC_NUMBER, STR(""));
			metrics_write(m, &b);
			ck_assert(!b.failed);
			buf_free(&b);
		}
	}
	return arg;
}

START_TEST(threads_lose_nothing)
{
	struct metrics_options o = usual();
	pthread_t threads[THREADS];

	o.app_id = STR("x");
	make(o);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, record, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(value_of("dapr_component_state_count{app_id=\"x\",component=\"s\",namespace=\"\","
				  "operation=\"get\",success=\"true\"}"),
			 THREADS * ROUNDS);
	ck_assert_int_eq(value_of("dapr_component_state_latencies_sum{app_id=\"x\",component=\"s\",namespace=\"\","
				  "operation=\"get\",success=\"true\"}"),
			 (long)(THREADS * ROUNDS * 1.5));
	ck_assert_int_eq(value_of("dapr_http_server_request_count{app_id=\"x\",method=\"GET\","
				  "path=\"/v1.0/invoke/app7/method/x\",status=\"200\"}"),
			 THREADS * ROUNDS / 200);
	ck_assert_int_eq(value_of("dapr_http_server_request_bytes_sum{app_id=\"x\"}"), THREADS * ROUNDS * 10);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("metrics");
	TCase *t = tcase_create("metrics");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, text_is_as_gos_client_writes_it);
	tcase_add_test(t, default_buckets_are_daprs);
	tcase_add_test(t, http_labels);
	tcase_add_test(t, path_matching);
	tcase_add_test(t, grpc_labels);
	tcase_add_test(t, components_and_errors);
	tcase_add_test(t, rules_rewrite_labels);
	tcase_add_test(t, no_client_exceeds_the_limit);
	tcase_add_test(t, odd_values_stay_labels);
	tcase_add_test(t, disabled_and_null);
	tcase_add_test(t, buckets_are_checked);
	tcase_add_test(t, process_and_fibers);
	tcase_add_test(t, others_may_define_metrics);
	tcase_add_test(t, threads_lose_nothing);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? 1 : 0;
}
