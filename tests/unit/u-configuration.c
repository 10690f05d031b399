/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "failing_malloc.h"
#include "resources/configuration.h"
#include "resources/environment.h"

static struct arena *arena;
static struct error error;
static char paths[4][64];
static size_t npaths;

static void set_up(void)
{
	static const char *const names[] = {
		"ENDPOINT", "TRACES_ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "INSECURE"
	};
	size_t i;

	arena = arena_new();
	npaths = 0;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(arena_printf(arena, "OTEL_EXPORTER_OTLP_%s", names[i]).p);
}

static void tear_down(void)
{
	while (npaths > 0)
		unlink(paths[--npaths]);
	arena_unref(arena);
}

static void put(const char *text)
{
	size_t n = strlen(text);
	int fd;

	snprintf(paths[npaths], sizeof(paths[0]), "/tmp/u-configuration-XXXXXX");
	fd = mkstemp(paths[npaths++]);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
	close(fd);
}

static struct configuration *load(void)
{
	const char *files[4];
	size_t i;

	for (i = 0; i < npaths; i++)
		files[i] = paths[i];
	return configuration_load(files, npaths, arena, &error);
}

static struct configuration *loaded(const char *text)
{
	struct configuration *c;

	put(text);
	c = load();
	ck_assert_msg(c != NULL, "%s", error.message.p);
	return c;
}

START_TEST(defaults_without_a_file)
{
	struct configuration *c = load();

	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(c->tracing.otel.is_secure, 1);
	ck_assert_int_eq(c->tracing.otel.timeout == DURATION_NONE, 1);
	ck_assert_str_eq(c->tracing.sampling_rate.p, "");
	ck_assert_int_eq(c->metric.enabled, 1);
	ck_assert_int_eq(c->metric.record_error_codes, 0);
	ck_assert_int_eq(c->metric.http.increased_cardinality, UNSET);
	ck_assert_int_eq(c->metric.workflow_latency_unit, 1000000);
	ck_assert_str_eq(c->access.default_action.p, "allow");
	ck_assert_str_eq(c->access.trust_domain.p, "public");
	ck_assert_int_eq(c->access.given, 0);
	ck_assert_int_eq(configuration_feature(c, "HotReload"), 1);
	ck_assert_int_eq(configuration_feature(c, "WorkflowsRemoteActivityReminder"), 1);
	ck_assert_int_eq(configuration_feature(c, "ActorStateTTL"), 0);
	ck_assert_uint_eq(c->nfeatures, 2);
	ck_assert_int_eq(configuration_secret_allowed(c, STR("any"), STR("any")), 1);
	ck_assert_int_eq(configuration_component_denied(c, STR("state.x"), STR("v1")), 0);
	ck_assert_int_eq(c->workflow.retention.any == DURATION_NONE, 1);
	configuration_unref(c);
	configuration_unref(NULL);
}
END_TEST

static const char full[] =
	"apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: cfg\n  namespace: ns\nspec:\n"
	"  tracing:\n    samplingRate: 0.50\n    stdout: on\n    zipkin: {endpointAddress: 'http://z'}\n"
	"    otel: {protocol: grpc, endpointAddress: 'o:4317', isSecure: false, headers: [a=b, c=d], timeout: 10s}\n"
	"  metric:\n    enabled: false\n    recordErrorCodes: true\n    latencyDistributionBuckets: [1, 2, 500]\n"
	"    http: {increasedCardinality: false, excludeVerbs: true, pathMatching: [/a, '/b/{id}']}\n"
	"    workflow: {latencyDistributionBuckets: [1, 10], latencyDistributionUnits: 1s}\n"
	"    rules:\n    - name: m\n      labels:\n      - name: method\n        regex: {b: 'x.*', a: 'y.*'}\n"
	"  mtls:\n    enabled: true\n    workloadCertTTL: 24h\n    allowedClockSkew: 15m\n    sentryAddress: s:1\n"
	"    controlPlaneTrustDomain: cluster.local\n    tokenValidators: [{name: jwks, options: {source: x, n: 1}}]\n"
	"  secrets:\n    scopes:\n    - {storeName: vault, defaultAccess: Deny, allowedSecrets: [zz, a]}\n"
	"    - {storeName: local, deniedSecrets: [x]}\n"
	"  accessControl:\n    defaultAction: deny\n    trustDomain: td\n    policies:\n    - appId: app1\n"
	"      defaultAction: allow\n      trustDomain: td2\n      namespace: n\n      operations:\n"
	"      - {name: /op1, httpVerb: [POST, GET], action: allow}\n"
	"  api:\n    allowed: [{name: state, version: v1.0, protocol: http}]\n    denied: [{name: secrets, version: "
	"v1, protocol: grpc}]\n"
	"  components: {deny: [bindings.smtp, state.redis/v2, '']}\n"
	"  features: [{name: HotReload, enabled: false}, {name: X, enabled: false}, {name: X, enabled: true}, "
	"{enabled: true}]\n"
	"  httpPipeline: {handlers: [{name: up, type: middleware.http.uppercase, version: v1}]}\n"
	"  appHttpPipeline: {handlers: [{name: a, type: t, selector: {fields: [{field: f, value: v}]}}, {name: b, "
	"type: t}]}\n"
	"  nameResolution: {component: mdns, version: v1, configuration: {a: yes, b: [1]}}\n"
	"  logging: {apiLogging: {enabled: true, obfuscateURLs: true, omitHealthChecks: true}}\n"
	"  wasm: {strictSandbox: true}\n"
	"  workflow:\n    maxConcurrentWorkflowInvocations: 5\n    maxConcurrentActivityInvocations: -1\n"
	"    globalMaxConcurrentActivityInvocations: 7\n    workflowConcurrencyLimits: [{name: w, maxConcurrent: 3}]\n"
	"    stateRetentionPolicy: {anyTerminal: 0s, completed: 72h}\n";

START_TEST(reads_tracing_metric_and_mtls)
{
	struct configuration *c = loaded(full);

	ck_assert_str_eq(c->name.p, "cfg");
	ck_assert_str_eq(c->tracing.sampling_rate.p, "0.50");
	ck_assert_int_eq(c->tracing.stdout_export, 1);
	ck_assert_str_eq(c->tracing.zipkin_endpoint_address.p, "http://z");
	ck_assert_str_eq(c->tracing.otel.endpoint_address.p, "o:4317");
	ck_assert_int_eq(c->tracing.otel.is_secure, 0);
	ck_assert_str_eq(c->tracing.otel.headers.p[1].p, "c=d");
	ck_assert_int_eq(c->tracing.otel.timeout, INT64_C(10000000000));
	ck_assert_int_eq(c->metric.enabled, 0);
	ck_assert_int_eq(c->metric.record_error_codes, 1);
	ck_assert_uint_eq(c->metric.latency_buckets.n, 3);
	ck_assert_int_eq(c->metric.latency_buckets.p[2], 500);
	ck_assert_int_eq(c->metric.http.increased_cardinality, 0);
	ck_assert_int_eq(c->metric.http.exclude_verbs, 1);
	ck_assert_str_eq(c->metric.http.path_matching.p[1].p, "/b/{id}");
	ck_assert_int_eq(c->metric.workflow_latency_unit, 1000000000);
	ck_assert_uint_eq(c->metric.workflow_latency_buckets.n, 2);
	ck_assert_str_eq(c->metric.rules[0].labels[0].regex.p[0].key.p, "a");
	ck_assert_str_eq(c->metric.rules[0].labels[0].regex.p[1].value.p, "x.*");
	ck_assert_int_eq(c->mtls.enabled, 1);
	ck_assert_str_eq(c->mtls.control_plane_trust_domain.p, "cluster.local");
	ck_assert_str_eq(c->mtls.validators[0].options.p, "{\"n\":1,\"source\":\"x\"}");
	configuration_unref(c);
}
END_TEST

START_TEST(reads_access_lists_and_scopes)
{
	struct configuration *c = loaded(full);

	ck_assert_int_gt(c->access.given, 0);
	ck_assert_str_eq(c->access.default_action.p, "deny");
	ck_assert_str_eq(c->access.policies[0].operations[0].http_verbs.p[1].p, "GET");
	ck_assert_str_eq(c->access.policies[0].trust_domain.p, "td2");
	ck_assert_str_eq(c->api_allowed[0].version.p, "v1.0");
	ck_assert_str_eq(c->api_denied[0].protocol.p, "grpc");
	ck_assert_int_eq(configuration_secret_allowed(c, STR("vault"), STR("a")), 1);
	ck_assert_int_eq(configuration_secret_allowed(c, STR("vault"), STR("zz")), 1);
	ck_assert_int_eq(configuration_secret_allowed(c, STR("vault"), STR("b")), 0);
	ck_assert_int_eq(configuration_secret_allowed(c, STR("local"), STR("x")), 0);
	ck_assert_int_eq(configuration_secret_allowed(c, STR("local"), STR("y")), 1);
	ck_assert_int_eq(configuration_secret_allowed(c, STR("other"), STR("x")), 1);
	ck_assert_int_eq(configuration_component_denied(c, STR("bindings.smtp"), STR("v9")), 1);
	ck_assert_int_eq(configuration_component_denied(c, STR("state.redis"), STR("v2")), 1);
	ck_assert_int_eq(configuration_component_denied(c, STR("state.redis"), STR("v1")), 0);
	ck_assert_int_eq(configuration_component_denied(c, STR(""), STR("")), 0);
	configuration_unref(c);
}
END_TEST

START_TEST(reads_the_rest)
{
	struct configuration *c = loaded(full);

	ck_assert_int_eq(configuration_feature(c, "HotReload"), 0);
	ck_assert_int_eq(configuration_feature(c, "X"), 1);
	ck_assert_uint_eq(c->nfeatures, 3);
	ck_assert_str_eq(c->http_pipeline.handlers[0].log_name.p, "up (middleware.http.uppercase/v1)");
	ck_assert_uint_eq(c->app_http_pipeline.nhandlers, 2);
	ck_assert_str_eq(c->app_http_pipeline.handlers[0].selectors[0].value.p, "v");
	ck_assert_str_eq(c->name_resolution.component.p, "mdns");
	ck_assert_str_eq(c->name_resolution.configuration.p, "{\"a\":\"yes\",\"b\":[1]}");
	ck_assert_int_eq(c->api_logging.enabled && c->api_logging.obfuscate_urls && c->api_logging.omit_health_checks,
			 1);
	ck_assert_int_eq(c->wasm_strict_sandbox, 1);
	ck_assert_int_eq(c->workflow.max_workflows, 5);
	ck_assert_int_eq(c->workflow.max_activities, 0);
	ck_assert_int_eq(c->workflow.global_max_activities, 7);
	ck_assert_int_eq(c->workflow.workflow_limits[0].max_concurrent, 3);
	ck_assert_int_eq(c->workflow.retention.any, 0);
	ck_assert_int_eq(c->workflow.retention.completed, INT64_C(72) * 3600 * 1000000000);
	ck_assert_int_eq(c->workflow.retention.failed == DURATION_NONE, 1);
	configuration_unref(c);
}
END_TEST

START_TEST(later_files_merge_objects_and_replace_lists)
{
	struct configuration *c;

	put("spec:\n  features: [{name: Feature1, enabled: true}]\n  tracing: {samplingRate: '1', otel: {protocol: "
	    "http, headers: [a=b]}}\n"
	    "  metric: {enabled: false, http: {pathMatching: [/x]}}\n  accessControl: {trustDomain: mine}\nmetadata: "
	    "{name: one}\n");
	put("spec:\n  features: [{name: Feature2, enabled: true}]\n  tracing: {otel: {endpointAddress: e, headers: "
	    "[c=d, ~]}}\n"
	    "  metric: {http: {excludeVerbs: true}}\n  accessControl: {defaultAction: deny}\n");
	c = loaded("spec:\nmetadata:\n");
	ck_assert_int_eq(configuration_feature(c, "Feature1"), 0);
	ck_assert_int_eq(configuration_feature(c, "Feature2"), 1);
	ck_assert_str_eq(c->name.p, "one");
	ck_assert_str_eq(c->tracing.sampling_rate.p, "1");
	ck_assert_str_eq(c->tracing.otel.protocol.p, "http");
	ck_assert_str_eq(c->tracing.otel.endpoint_address.p, "e");
	ck_assert_uint_eq(c->tracing.otel.headers.n, 1);
	ck_assert_int_eq(c->metric.enabled, 0);
	ck_assert_int_eq(c->metric.http.exclude_verbs, 1);
	ck_assert_str_eq(c->metric.http.path_matching.p[0].p, "/x");
	ck_assert_str_eq(c->access.trust_domain.p, "mine");
	ck_assert_str_eq(c->access.default_action.p, "deny");
	configuration_unref(c);
}
END_TEST

START_TEST(null_takes_away_what_stood)
{
	struct configuration *c;

	put("spec: {metric: {enabled: false}, tracing: {samplingRate: '1', otel: {isSecure: false}}, features: [{name: "
	    "A, enabled: true}]}");
	c = loaded("spec: {metric: ~, tracing: {samplingRate: ~, otel: ~}, features: ~, accessControl: ~}");
	ck_assert_int_eq(c->metric.enabled, 1);
	ck_assert_int_eq(c->tracing.otel.is_secure, 1);
	ck_assert_str_eq(c->tracing.sampling_rate.p, "1");
	ck_assert_int_eq(configuration_feature(c, "A"), 0);
	ck_assert_str_eq(c->access.default_action.p, "");
	configuration_unref(c);
}
END_TEST

START_TEST(metrics_is_laid_over_metric)
{
	struct configuration *c = loaded("spec:\n  metric: {enabled: false, recordErrorCodes: true, "
					 "latencyDistributionBuckets: [1], rules: [{name: a}],"
					 " http: {excludeVerbs: true}}\n"
					 "  metrics: {enabled: true, latencyDistributionBuckets: [], rules: [], http: "
					 "{increasedCardinality: true}}\n");

	ck_assert_int_eq(c->metric.enabled, 1);
	ck_assert_int_eq(c->metric.record_error_codes, 1);
	ck_assert_uint_eq(c->metric.latency_buckets.n, 0);
	ck_assert_uint_eq(c->metric.nrules, 1);
	ck_assert_int_eq(c->metric.http.increased_cardinality, 1);
	ck_assert_int_eq(c->metric.http.exclude_verbs, UNSET);
	configuration_unref(c);
}
END_TEST

static const struct {
	const char *text, *says;
} wrong[] = {
	{ "spec: {secrets: {scopes: [{storeName: a}, {storeName: a}]}}",
	  "a storeName is repeated in secrets configuration" },
	{ "spec: {secrets: {scopes: [{storeName: a, defaultAccess: maybe}]}}",
	  "defaultAccess maybe can be either allow or deny" },
	{ "spec:\n  tracing:\n    stdout: 5\n",
	  ":3: spec.tracing.stdout: must be true or false without quotes, not a number" },
	{ "spec: {tracing: {stdout: 'true'}}", "spec.tracing.stdout: must be true or false without quotes, not text" },
	{ "spec: {tracing: {otel: {timeout: 5}}}", "spec.tracing.otel.timeout: must be a duration with its unit" },
	{ "spec: {tracing: {otel: {timeout: soon}}}", "such as 500ms, 30s or 1h30m, not soon" },
	{ "spec: {metric: {latencyDistributionBuckets: [1, x]}}",
	  "latencyDistributionBuckets[1]: must be a whole number" },
	{ "spec: {workflow: {maxConcurrentWorkflowInvocations: 99999999999}}",
	  "must be a whole number from -2147483648" },
	{ "spec: {features: HotReload}", "spec.features: must be a list" },
	{ "spec: {features: [HotReload]}", "spec.features[0]: must be an object" },
	{ "spec: {mtls: {}, mtls: {}}", "spec.mtls: is given twice, first in line 1" },
	{ "a: b: c", "yaml: " },
	{ "[1]", "the document must be an object" },
	{ "spec: {nameResolution: {configuration: .inf}}", "JSON has no number for .inf" },
	{ "spec: [1]", "spec: must be an object" },
};

START_TEST(refusals_name_file_line_and_field)
{
	put(wrong[_i].text);
	ck_assert_ptr_null(load());
	ck_assert_msg(strstr(error.message.p, wrong[_i].says) != NULL, "%s", error.message.p);
	ck_assert_str_eq(error.tag, "error loading configuration");
	ck_assert(_i < 2 || strstr(error.message.p, paths[0]) != NULL);
}
END_TEST

START_TEST(a_file_that_is_not_there_ends_the_load)
{
	const char *files[] = { "/nowhere/config.yaml" };

	ck_assert_ptr_null(configuration_load(files, 1, arena, &error));
	ck_assert_ptr_nonnull(strstr(error.message.p, "stat /nowhere/config.yaml: no such file or directory"));
	files[0] = "/tmp";
	ck_assert_ptr_null(configuration_load(files, 1, arena, &error));
	ck_assert_ptr_nonnull(strstr(error.message.p, "it is no regular file"));
}
END_TEST

START_TEST(an_empty_file_and_other_documents_change_nothing)
{
	struct configuration *c;

	put("");
	put("# nothing\n");
	put("~\n");
	c = loaded("spec: {features: [{name: A, enabled: yes}]}\n---\nspec: {features: [{name: B, enabled: true}]}\n");
	ck_assert_int_eq(configuration_feature(c, "A"), 1);
	ck_assert_int_eq(configuration_feature(c, "B"), 0);
	configuration_unref(c);
}
END_TEST

/* As os.ExpandEnv, with A=x, B empty, C not set. */
static const struct {
	const char *text, *want;
} expansions[] = {
	{ "$A", "x" },
	{ "${A}", "x" },
	{ "a$A.b", "ax.b" },
	{ "$AB", "" },
	{ "${A}B", "xB" },
	{ "$B|$C|", "||" },
	{ "$", "$" },
	{ "a$", "a$" },
	{ "$ 5", "$ 5" },
	{ "$$A", "A" },
	{ "${}", "" },
	{ "${A", "A" },
	{ "a${", "a" },
	{ "$1", "" },
	{ "$12", "2" },
	{ "$*x", "x" },
	{ "${*}x", "x" },
	{ "$.x", "$.x" },
	{ "${A B}", "" },
	{ "plain", "plain" },
	{ "", "" },
	{ "$A$A", "xx" },
	{ "$\xc3\xa9", "$\xc3\xa9" },
};

START_TEST(variables_are_replaced_as_go_does)
{
	struct str got;

	setenv("A", "x", 1);
	setenv("B", "", 1);
	unsetenv("C");
	ck_assert_int_eq(environment_expand(arena, str_of(expansions[_i].text), 1000, &got), 0);
	ck_assert_str_eq(got.p, expansions[_i].want);
}
END_TEST

START_TEST(variables_are_replaced_before_parsing_and_bounded)
{
	struct configuration *c;
	struct buf b = buf_in(arena);
	char big[2001];
	int i;

	setenv("RATE", "0.1", 1);
	setenv("BLOCK", "{protocol: http}", 1);
	c = loaded("spec: {tracing: {samplingRate: \"$RATE\", otel: ${BLOCK}, zipkin: {endpointAddress: "
		   "'$UNSET_FOR_SURE'}}}");
	ck_assert_str_eq(c->tracing.sampling_rate.p, "0.1");
	ck_assert_str_eq(c->tracing.otel.protocol.p, "http");
	ck_assert_str_eq(c->tracing.zipkin_endpoint_address.p, "");
	configuration_unref(c);
	memset(big, 'x', 2000);
	big[2000] = '\0';
	setenv("BIG", big, 1);
	for (i = 0; i < 5000; i++)
		buf_adds(&b, STR("# $BIG\n"));
	put(buf_str(&b).p);
	ck_assert_ptr_null(load());
	ck_assert_ptr_nonnull(strstr(error.message.p, "larger than 4 MiB"));
}
END_TEST

START_TEST(otel_variables_stand_in_for_a_collector)
{
	struct configuration *c;

	setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1", 1);
	setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces:2", 1);
	setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", 1);
	setenv("OTEL_EXPORTER_OTLP_INSECURE", "true", 1);
	setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=1, b = x%20y ,a=2", 1);
	setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1500", 1);
	c = load();
	ck_assert_ptr_nonnull(c);
	ck_assert_str_eq(c->tracing.otel.endpoint_address.p, "traces:2");
	ck_assert_str_eq(c->tracing.otel.protocol.p, "http");
	ck_assert_str_eq(c->tracing.sampling_rate.p, "1");
	ck_assert_int_eq(c->tracing.otel.is_secure, 0);
	ck_assert_uint_eq(c->tracing.otel.headers.n, 2);
	ck_assert_str_eq(c->tracing.otel.headers.p[0].p, "a=2");
	ck_assert_str_eq(c->tracing.otel.headers.p[1].p, "b=x y");
	ck_assert_int_eq(c->tracing.otel.timeout, 1500000000);
	configuration_unref(c);
	c = loaded("spec: {tracing: {otel: {endpointAddress: mine}}}");
	ck_assert_str_eq(c->tracing.otel.endpoint_address.p, "mine");
	ck_assert_uint_eq(c->tracing.otel.headers.n, 0);
	ck_assert_int_eq(c->tracing.otel.is_secure, 1);
	configuration_unref(c);
	npaths = 0;
	setenv("OTEL_EXPORTER_OTLP_HEADERS", "s3cret", 1);
	ck_assert_ptr_null(load());
	ck_assert_str_eq(error.tag, "error setting tracing spec from env");
	ck_assert_ptr_null(strstr(error.message.p, "s3cret"));
	setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz", 1);
	ck_assert_ptr_null(load());
	setenv("OTEL_EXPORTER_OTLP_HEADERS", "b c=1", 1);
	ck_assert_ptr_null(load());
	setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=b", 1);
	setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1s", 1);
	ck_assert_ptr_null(load());
	ck_assert_ptr_nonnull(strstr(error.message.p, "whole number of milliseconds"));
}
END_TEST

START_TEST(the_nth_allocation_fails)
{
	struct configuration *c;
	int whole = 0;
	long n;

	put(full);
	put("spec: {tracing: {samplingRate: $UNSET_FOR_SURE, otel: {headers: [&x a=b, *x]}}}");
	for (n = 1; !whole; n++) {
		const char *files[] = { paths[0], paths[1] };
		struct arena *scratch;
		long before;

		arena_drop_stock();
		before = living;
		scratch = arena_new();
		fail_at = n;
		c = configuration_load(files, 2, scratch, &error);
		whole = fail_at != 0;
		fail_at = 0;
		if (c == NULL)
			ck_assert_msg(strstr(error.message.p, "memory") != NULL, "%ld: %s", n, error.message.p);
		else
			ck_assert_uint_eq(c->tracing.otel.headers.n, 2);
		ck_assert(c != NULL || !whole);
		configuration_unref(c);
		arena_unref(scratch);
		arena_drop_stock();
		ck_assert_msg(living == before, "allocation %ld: %ld blocks leak", n, living - before);
	}
#ifdef COUNTED
	ck_assert_int_gt(n, 20);
#endif
}
END_TEST

START_TEST(mangled_files_break_nothing)
{
	uint64_t x = 88172645463325252u + (uint64_t)_i;
	char copy[sizeof(full)];
	int round, k;

	for (round = 0; round < 100; round++) {
		struct configuration *c;

		memcpy(copy, full, sizeof(full));
		for (k = 0; k < 1 + round % 5; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			copy[(x >> 16) % (sizeof(full) - 1)] = "[]{}&*!|>'\"%@`,:-?#\n\t <\\~$z5"[(x >> 40) % 29];
		}
		put(copy);
		c = load();
		ck_assert(c != NULL || error.message.n > 0);
		configuration_unref(c);
		unlink(paths[--npaths]);
	}
}
END_TEST

#define LOOP(t, test, table) tcase_add_loop_test(t, test, 0, (int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
	Suite *s = suite_create("configuration");
	TCase *t = tcase_create("configuration");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, defaults_without_a_file);
	tcase_add_test(t, reads_tracing_metric_and_mtls);
	tcase_add_test(t, reads_access_lists_and_scopes);
	tcase_add_test(t, reads_the_rest);
	tcase_add_test(t, later_files_merge_objects_and_replace_lists);
	tcase_add_test(t, null_takes_away_what_stood);
	tcase_add_test(t, metrics_is_laid_over_metric);
	LOOP(t, refusals_name_file_line_and_field, wrong);
	tcase_add_test(t, a_file_that_is_not_there_ends_the_load);
	tcase_add_test(t, an_empty_file_and_other_documents_change_nothing);
	LOOP(t, variables_are_replaced_as_go_does, expansions);
	tcase_add_test(t, variables_are_replaced_before_parsing_and_bounded);
	tcase_add_test(t, otel_variables_stand_in_for_a_collector);
	tcase_add_test(t, the_nth_allocation_fails);
	tcase_add_loop_test(t, mangled_files_break_nothing, 0, 5);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
