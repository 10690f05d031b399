/* SPDX-License-Identifier: Apache-2.0 */
#include "resources/configuration_tables.h"

#include "base/banned.h"

static const struct field selector_fields[] = {
	FIELD("field", FIELD_STR, struct configuration_selector, field),
	FIELD("value", FIELD_STR, struct configuration_selector, value),
	FIELD_END,
};

static const struct field selectors_fields[] = {
	FIELD_ARRAY("fields", struct configuration_handler, selectors, nselectors, selector_fields),
	FIELD_END,
};

static const struct field handler_fields[] = {
	FIELD("name", FIELD_STR, struct configuration_handler, name),
	FIELD("type", FIELD_STR, struct configuration_handler, type),
	FIELD("version", FIELD_STR, struct configuration_handler, version),
	FIELD_PART_INLINE("selector", selectors_fields),
	FIELD_END,
};

static const struct field pipeline_fields[] = {
	FIELD_ARRAY("handlers", struct configuration_pipeline, handlers, nhandlers, handler_fields),
	FIELD_END,
};

static const struct field zipkin_fields[] = {
	FIELD("endpointAddress", FIELD_STR, struct configuration_tracing, zipkin_endpoint_address),
	FIELD_END,
};

static const struct field otel_fields[] = {
	FIELD("protocol", FIELD_STR, struct configuration_otel, protocol),
	FIELD("endpointAddress", FIELD_STR, struct configuration_otel, endpoint_address),
	FIELD("isSecure", FIELD_OPTIONAL_BOOL, struct configuration_otel, is_secure),
	FIELD("headers", FIELD_STRS, struct configuration_otel, headers),
	FIELD("timeout", FIELD_DURATION, struct configuration_otel, timeout),
	FIELD_END,
};

static const struct field tracing_fields[] = {
	FIELD("samplingRate", FIELD_STR, struct configuration_tracing, sampling_rate),
	FIELD("stdout", FIELD_BOOL, struct configuration_tracing, stdout_export),
	FIELD_INLINE("zipkin", zipkin_fields),
	FIELD_SUB("otel", struct configuration_tracing, otel, otel_fields),
	FIELD_END,
};

static const struct field label_fields[] = {
	FIELD("name", FIELD_STR, struct configuration_label, name),
	FIELD("regex", FIELD_PAIRS, struct configuration_label, regex),
	FIELD_END,
};

static const struct field rule_fields[] = {
	FIELD("name", FIELD_STR, struct configuration_rule, name),
	FIELD_ARRAY("labels", struct configuration_rule, labels, nlabels, label_fields),
	FIELD_END,
};

static const struct field metric_http_fields[] = {
	FIELD("increasedCardinality", FIELD_OPTIONAL_BOOL, struct configuration_metric_http, increased_cardinality),
	FIELD("excludeVerbs", FIELD_OPTIONAL_BOOL, struct configuration_metric_http, exclude_verbs),
	FIELD("pathMatching", FIELD_STRS, struct configuration_metric_http, path_matching),
	FIELD_END,
};

static const struct field metric_workflow_fields[] = {
	FIELD("latencyDistributionBuckets", FIELD_INTS, struct configuration_raw_workflow_metric, buckets),
	FIELD("latencyDistributionUnits", FIELD_DURATION, struct configuration_raw_workflow_metric, unit),
	FIELD_END,
};

static const struct field metric_fields[] = {
	FIELD("enabled", FIELD_OPTIONAL_BOOL, struct configuration_raw_metric, enabled),
	FIELD("recordErrorCodes", FIELD_OPTIONAL_BOOL, struct configuration_raw_metric, record_error_codes),
	FIELD_PTR("http", struct configuration_raw_metric, http, metric_http_fields),
	FIELD("latencyDistributionBuckets", FIELD_INTS, struct configuration_raw_metric, latency_buckets),
	FIELD_PTR("workflow", struct configuration_raw_metric, workflow, metric_workflow_fields),
	FIELD_ARRAY("rules", struct configuration_raw_metric, rules, nrules, rule_fields),
	FIELD_END,
};

static const struct field validator_fields[] = {
	FIELD("name", FIELD_STR, struct configuration_validator, name),
	FIELD("options", FIELD_JSON, struct configuration_validator, options),
	FIELD_END,
};

static const struct field mtls_fields[] = {
	FIELD("enabled", FIELD_BOOL, struct configuration_mtls, enabled),
	FIELD("workloadCertTTL", FIELD_STR, struct configuration_mtls, workload_cert_ttl),
	FIELD("allowedClockSkew", FIELD_STR, struct configuration_mtls, allowed_clock_skew),
	FIELD("sentryAddress", FIELD_STR, struct configuration_mtls, sentry_address),
	FIELD("controlPlaneTrustDomain", FIELD_STR, struct configuration_mtls, control_plane_trust_domain),
	FIELD_ARRAY("tokenValidators", struct configuration_mtls, validators, nvalidators, validator_fields),
	FIELD_END,
};

static const struct field scope_fields[] = {
	FIELD("", FIELD_LINE, struct configuration_scope, line),
	FIELD("storeName", FIELD_STR, struct configuration_scope, store_name),
	FIELD("defaultAccess", FIELD_STR, struct configuration_scope, default_access),
	FIELD("allowedSecrets", FIELD_STRS, struct configuration_scope, allowed),
	FIELD("deniedSecrets", FIELD_STRS, struct configuration_scope, denied),
	FIELD_END,
};

static const struct field secrets_fields[] = {
	FIELD_ARRAY("scopes", struct configuration_file, c.secret_scopes, c.nsecret_scopes, scope_fields),
	FIELD_END,
};

static const struct field operation_fields[] = {
	FIELD("name", FIELD_STR, struct configuration_operation, name),
	FIELD("httpVerb", FIELD_STRS, struct configuration_operation, http_verbs),
	FIELD("action", FIELD_STR, struct configuration_operation, action),
	FIELD_END,
};

static const struct field policy_fields[] = {
	FIELD("appId", FIELD_STR, struct configuration_policy, app_id),
	FIELD("defaultAction", FIELD_STR, struct configuration_policy, default_action),
	FIELD("trustDomain", FIELD_STR, struct configuration_policy, trust_domain),
	FIELD("namespace", FIELD_STR, struct configuration_policy, namespace),
	FIELD_ARRAY("operations", struct configuration_policy, operations, noperations, operation_fields),
	FIELD_END,
};

static const struct field access_fields[] = {
	FIELD("", FIELD_LINE, struct configuration_access, given),
	FIELD("defaultAction", FIELD_STR, struct configuration_access, default_action),
	FIELD("trustDomain", FIELD_STR, struct configuration_access, trust_domain),
	FIELD_ARRAY("policies", struct configuration_access, policies, npolicies, policy_fields),
	FIELD_END,
};

static const struct field api_rule_fields[] = {
	FIELD("name", FIELD_STR, struct configuration_api, name),
	FIELD("version", FIELD_STR, struct configuration_api, version),
	FIELD("protocol", FIELD_STR, struct configuration_api, protocol),
	FIELD_END,
};

static const struct field api_fields[] = {
	FIELD_ARRAY("allowed", struct configuration_file, c.api_allowed, c.napi_allowed, api_rule_fields),
	FIELD_ARRAY("denied", struct configuration_file, c.api_denied, c.napi_denied, api_rule_fields),
	FIELD_END,
};

static const struct field components_fields[] = {
	FIELD("deny", FIELD_STRS, struct configuration_file, c.components_deny),
	FIELD_END,
};

static const struct field feature_fields[] = {
	FIELD("name", FIELD_STR, struct configuration_feature, name),
	FIELD("enabled", FIELD_BOOL, struct configuration_feature, enabled),
	FIELD_END,
};

static const struct field name_resolution_fields[] = {
	FIELD("component", FIELD_STR, struct configuration_file, c.name_resolution.component),
	FIELD("version", FIELD_STR, struct configuration_file, c.name_resolution.version),
	FIELD("configuration", FIELD_JSON, struct configuration_file, c.name_resolution.configuration),
	FIELD_END,
};

static const struct field api_logging_fields[] = {
	FIELD("enabled", FIELD_BOOL, struct configuration_file, c.api_logging.enabled),
	FIELD("obfuscateURLs", FIELD_BOOL, struct configuration_file, c.api_logging.obfuscate_urls),
	FIELD("omitHealthChecks", FIELD_BOOL, struct configuration_file, c.api_logging.omit_health_checks),
	FIELD_END,
};

static const struct field logging_fields[] = {
	FIELD_INLINE("apiLogging", api_logging_fields),
	FIELD_END,
};

static const struct field wasm_fields[] = {
	FIELD("strictSandbox", FIELD_BOOL, struct configuration_file, c.wasm_strict_sandbox),
	FIELD_END,
};

static const struct field limit_fields[] = {
	FIELD("name", FIELD_STR, struct configuration_limit, name),
	FIELD("maxConcurrent", FIELD_INT32, struct configuration_limit, max_concurrent),
	FIELD_END,
};

static const struct field retention_fields[] = {
	FIELD("anyTerminal", FIELD_DURATION, struct configuration_workflow, retention.any),
	FIELD("completed", FIELD_DURATION, struct configuration_workflow, retention.completed),
	FIELD("failed", FIELD_DURATION, struct configuration_workflow, retention.failed),
	FIELD("terminated", FIELD_DURATION, struct configuration_workflow, retention.terminated),
	FIELD_END,
};

static const struct field workflow_fields[] = {
	FIELD("maxConcurrentWorkflowInvocations", FIELD_INT32, struct configuration_workflow, max_workflows),
	FIELD("maxConcurrentActivityInvocations", FIELD_INT32, struct configuration_workflow, max_activities),
	FIELD("globalMaxConcurrentWorkflowInvocations", FIELD_OPTIONAL_INT32, struct configuration_workflow,
	      global_max_workflows),
	FIELD("globalMaxConcurrentActivityInvocations", FIELD_OPTIONAL_INT32, struct configuration_workflow,
	      global_max_activities),
	FIELD_ARRAY("workflowConcurrencyLimits", struct configuration_workflow, workflow_limits, nworkflow_limits,
		    limit_fields),
	FIELD_ARRAY("activityConcurrencyLimits", struct configuration_workflow, activity_limits, nactivity_limits,
		    limit_fields),
	FIELD_INLINE("stateRetentionPolicy", retention_fields),
	FIELD_END,
};

static const struct field spec_fields[] = {
	FIELD_SUB("httpPipeline", struct configuration_file, c.http_pipeline, pipeline_fields),
	FIELD_SUB("appHttpPipeline", struct configuration_file, c.app_http_pipeline, pipeline_fields),
	FIELD_SUB("tracing", struct configuration_file, c.tracing, tracing_fields),
	FIELD_SUB("mtls", struct configuration_file, c.mtls, mtls_fields),
	FIELD_SUB("metric", struct configuration_file, metric, metric_fields),
	FIELD_SUB("metrics", struct configuration_file, metrics, metric_fields),
	FIELD_INLINE("secrets", secrets_fields),
	FIELD_SUB("accessControl", struct configuration_file, c.access, access_fields),
	FIELD_INLINE("nameResolution", name_resolution_fields),
	FIELD_ARRAY("features", struct configuration_file, c.features, c.nfeatures, feature_fields),
	FIELD_INLINE("api", api_fields),
	FIELD_INLINE("components", components_fields),
	FIELD_INLINE("logging", logging_fields),
	FIELD_INLINE("wasm", wasm_fields),
	FIELD_SUB("workflow", struct configuration_file, c.workflow, workflow_fields),
	FIELD_END,
};

static const struct field metadata_fields[] = {
	FIELD("name", FIELD_STR, struct configuration_file, c.name),
	FIELD("namespace", FIELD_STR, struct configuration_file, c.namespace),
	FIELD_END,
};

const struct field configuration_fields[] = {
	FIELD_KNOWN("apiVersion"),
	FIELD_KNOWN("kind"),
	FIELD_PART_INLINE("metadata", metadata_fields),
	FIELD_PART_INLINE("spec", spec_fields),
	FIELD_END,
};
