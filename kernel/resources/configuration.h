/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Configuration resource: defaults, then each --config file over what stands, in order. Objects merge field by
 * field, lists are replaced, null takes an object away. $VAR and ${VAR} are replaced before parsing, unset ones by
 * nothing. Immutable after loading; everything in its arena.
 */
#ifndef RESOURCES_CONFIGURATION_H
#define RESOURCES_CONFIGURATION_H
#include "base/error.h"
#include "resources/field.h"

struct configuration_selector {
	struct str field, value;
};

struct configuration_handler { /* of a pipeline */
	struct str name, type, version;
	size_t nselectors; /* as written; Dapr's own pipelines read none of them */
	struct configuration_selector *selectors;
	struct str log_name; /* "name (type/version)" */
};

struct configuration_pipeline {
	size_t nhandlers;
	struct configuration_handler *handlers;
};

struct configuration_otel {
	struct str protocol;	     /* "grpc", "http" */
	struct str endpoint_address; /* empty: no export */
	int is_secure;		     /* default 1 */
	struct strs headers;	     /* "name=value"; may be secret, never log */
	int64_t timeout;	     /* ns, DURATION_NONE */
};

struct configuration_tracing {
	struct str sampling_rate; /* as written; empty: off */
	int stdout_export;	  /* spec.tracing.stdout */
	struct str zipkin_endpoint_address;
	struct configuration_otel otel;
};

struct configuration_label {
	struct str name;
	struct pairs regex; /* value -> pattern */
};

struct configuration_rule {
	struct str name;
	size_t nlabels;
	struct configuration_label *labels;
};

struct configuration_metric_http {
	int increased_cardinality; /* UNSET: nobody chose; Dapr takes 1 and warns that this will change */
	int exclude_verbs;	   /* UNSET: 0 */
	struct strs path_matching;
};

struct configuration_metric {	/* spec.metric, with spec.metrics already laid over it */
	int enabled;		/* 0, 1 */
	int record_error_codes; /* 0, 1 */
	struct configuration_metric_http http;
	struct ints latency_buckets;	      /* ms; n 0: the built-in ones */
	struct ints workflow_latency_buckets; /* n 0: as latency_buckets */
	int64_t workflow_latency_unit;	      /* ns, of the numbers above; 1 ms by default */
	size_t nrules;
	struct configuration_rule *rules;
};

struct configuration_validator {
	struct str name;
	struct str options; /* JSON, p NULL: none */
};

struct configuration_mtls {
	int enabled;
	struct str workload_cert_ttl, allowed_clock_skew, sentry_address, control_plane_trust_domain;
	size_t nvalidators;
	struct configuration_validator *validators;
};

struct configuration_scope { /* of one secret store */
	struct str store_name;
	struct str default_access;   /* "", or allow or deny in any case */
	struct strs allowed, denied; /* sorted bytewise */
	int line;
};

struct configuration_operation {
	struct str name; /* path, may hold * */
	struct strs http_verbs;
	struct str action;
};

struct configuration_policy {
	struct str app_id, default_action, trust_domain, namespace;
	size_t noperations;
	struct configuration_operation *operations;
};

struct configuration_access { /* spec.accessControl */
	int given; /* the line in the last file that has it; 0: none has, and the defaults are no list to enforce */
	struct str default_action; /* "allow" by default */
	struct str trust_domain;   /* "public" by default */
	size_t npolicies;
	struct configuration_policy *policies;
};

struct configuration_api {
	struct str name, version, protocol; /* "state", "v1.0", "http" or "grpc" in any case */
};

struct configuration_feature { /* one a name, with the last word that the files have on it */
	struct str name;
	int enabled;
};

struct configuration_limit {
	struct str name;
	int32_t max_concurrent; /* 0: not given */
};

struct configuration_workflow {
	int32_t max_workflows, max_activities;		     /* of this sidecar; 0: no limit */
	int32_t global_max_workflows, global_max_activities; /* over all; 0: no limit */
	size_t nworkflow_limits, nactivity_limits;
	struct configuration_limit *workflow_limits, *activity_limits;
	struct { /* ns, DURATION_NONE: kept; 0: purged at once */
		int64_t any, completed, failed, terminated;
	} retention;
};

struct configuration {
	struct arena *arena; /* holds all of it; configuration_ref/unref count on it */
	struct str name;     /* metadata.name of the last file that has one; empty: none */
	struct str namespace;

	struct configuration_tracing tracing;
	struct configuration_metric metric;
	struct configuration_mtls mtls;
	size_t nsecret_scopes;
	struct configuration_scope *secret_scopes;
	struct configuration_access access;
	size_t napi_allowed, napi_denied;
	struct configuration_api *api_allowed, *api_denied;
	struct strs components_deny; /* "type" or "type/version" */
	size_t nfeatures;	     /* with the defaults (HotReload, …) behind what the files list */
	struct configuration_feature *features;
	struct configuration_pipeline http_pipeline, app_http_pipeline;
	struct {
		struct str component, version; /* empty component: the mode's default */
		struct str configuration;      /* JSON, p NULL: none */
	} name_resolution;
	struct {
		int enabled, obfuscate_urls, omit_health_checks;
	} api_logging;
	int wasm_strict_sandbox;
	struct configuration_workflow workflow;
};

/*
 * Loads files over the defaults (nfiles 0: the defaults alone), then OTEL_EXPORTER_OTLP_* where no file names a
 * collector. One reference; NULL: ret_error, its message in `scratch`, names file, line and field; ret_error->tag is
 * what Dapr says before it ("error loading configuration").
 */
struct configuration *configuration_load(const char *const *files, size_t nfiles, struct arena *scratch,
					 struct error *ret_error);
struct configuration *configuration_ref(struct configuration *c);
void configuration_unref(struct configuration *c); /* NULL is fine */

int configuration_feature(const struct configuration *c, const char *name); /* 1: enabled */
/* Whether scopes let an application read this secret: allowed, else denied, else the default. No scope: 1. */
int configuration_secret_allowed(const struct configuration *c, struct str store, struct str secret);
/* 1: spec.components.deny blocks this type and version. */
int configuration_component_denied(const struct configuration *c, struct str type, struct str version);
#endif
