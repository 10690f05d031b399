/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: every flag of Dapr's sidecar under the same name, and three of our own. A field is named as its flag.
 *
 * In two steps, as the log is set up in between and Dapr reports them differently:
 *	options_parse()  flags to fields; faults here are the shell's (usage, exit 2) or fatal before any other log line
 *	options_check()  what makes sense together; numbers of ports; faults here are "Fatal error from runtime: …"
 *
 * Texts and lists live in the arena given to both (the process's, not a call's), each with a NUL behind it; "" means not
 * given. Nothing is changed after options_check().
 */
#ifndef MAIN_OPTIONS_H
#define MAIN_OPTIONS_H
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/str.h"

enum options_action {
	OPTIONS_RUN,   /* start the sidecar */
	OPTIONS_PRINT, /* ret_message goes to standard output, exit 0 (--version, --build-info) */
	OPTIONS_HELP,  /* ret_message goes to standard error, exit 0, as Dapr's --help does */
	OPTIONS_USAGE, /* ret_message (the fault and the usage) goes to standard error, exit 2 */
	OPTIONS_WAIT,  /* options_wait(), exit 0 */
	OPTIONS_FATAL  /* ret_message is to be logged as fatal with the default log settings, exit 1 */
};

enum app_protocol { APP_PROTOCOL_HTTP, APP_PROTOCOL_HTTPS, APP_PROTOCOL_H2C, APP_PROTOCOL_GRPC, APP_PROTOCOL_GRPCS };

struct options_list {
	size_t n;
	const struct str *at;
};

struct options {
	/* Who we are */
	struct str mode;   /* "standalone" or "kubernetes" */
	struct str app_id; /* standalone: never empty, no dots */

	/* The application */
	struct str app_port;		/* as given; see number.app_port */
	struct str app_protocol;	/* as given; see protocol */
	struct str app_channel_address; /* host of the application */
	int64_t app_max_concurrency;	/* parallel calls; after the check 0: no limit */
	int app_ssl;			/* deprecated; the check turned it into protocol */
	int enable_app_health_check;
	struct str app_health_check_path;
	int64_t app_health_probe_interval;   /* seconds, > 0 after the check */
	int64_t app_health_probe_timeout;    /* milliseconds, > 0 and at most the interval after the check */
	int64_t app_health_threshold;	     /* failures in a row, >= 1 after the check */
	int64_t app_binding_options_timeout; /* ns, > 0 after the check */

	/* Our listeners. Ports are texts as given; see number */
	struct str dapr_http_port, dapr_grpc_port;
	struct str dapr_internal_grpc_port;	      /* "" and "0": the stable port, options_internal_port() */
	struct str dapr_internal_grpc_listen_address; /* "": all */
	struct str dapr_listen_addresses;	      /* CSV as given; see listen */
	struct str dapr_public_port;		      /* "": no public listener */
	struct str dapr_public_listen_address;	      /* "": all */
	struct str profile_port;
	int enable_profiling;
	struct str metrics_port; /* its number is read when the metrics listener starts, as Dapr does */
	struct str metrics_listen_address;
	int enable_metrics;
	struct str unix_domain_socket; /* folder; "": TCP */
	struct str allowed_origins;    /* CORS: "" off, "*" all, CSV */
	int64_t max_body_size;	       /* bytes, of HTTP and gRPC; 0: no limit on HTTP (gRPC: nothing but empty) */
	int64_t read_buffer_size;      /* bytes of a request's headers */
	int enable_api_logging;	       /* 1, 0; -1: not given, Configuration's logging.apiLogging.enabled decides */

	/* Resources */
	struct options_list resources_path;    /* after the check with components_path in it, if there was none */
	struct str components_path;	       /* deprecated alias */
	struct options_list config;	       /* standalone: files; kubernetes: the first is a Configuration's name */
	int64_t hot_reload_reconcile_interval; /* ns; 0: 60 s */
	int disable_builtin_k8s_secret_store;
	struct options_list disable_init_endpoints; /* after the check in lower case, of "config" and "subscribe" */

	/* Control plane */
	struct str control_plane_address; /* operator */
	struct str sentry_address;
	struct str control_plane_trust_domain;
	struct str control_plane_namespace;
	struct options_list sentry_request_jwt_audiences;
	int enable_mtls;
	struct str placement_host_address; /* CSV */
	struct str actors_service;	   /* "type:address"; "placement:<placement_host_address>" when that is given */
	struct str reminders_service;	   /* no effect */
	int64_t actors_disseminate_timeout; /* ns, > 0 */
	struct options_list scheduler_host_address;
	uint64_t scheduler_job_streams;

	/* End of the process */
	int64_t dapr_graceful_shutdown_seconds; /* >= 0 after the check */
	int64_t dapr_block_shutdown_duration;	/* ns; -1: not given, the shutdown is not delayed */

	/* Log */
	struct str log_level; /* a word that log_level_of() knows */
	int log_as_json;
	struct str log_file; /* "": standard output */

	/* Ours */
	struct options_list plugins_path; /* folders, searched in this order; none: the built-in one */
	int64_t loops;			  /* 1..64 */
	struct str min_tier;		  /* "", "community", "standard", "managed": refuse what is below */

	/* Actions; options_parse() has already turned them into its answer */
	int version, build_info, wait;

	/* What options_parse() found beside the flags */
	struct options_list notices; /* lines for standard error, such as that a flag is deprecated */

	/* What options_check() made of the texts. Port numbers are as given: 0 lets the system choose, and what no
	 * port can be (Dapr's tools pass --profile-port -1) fails when the listener is bound, as Dapr's does. */
	struct {
		int http_port, grpc_port, profile_port;
		int internal_grpc_port;
		int public_port; /* -1: none */
		int app_port;	 /* 0: none */
	} number;
	enum app_protocol protocol;
	struct options_list listen; /* addresses for HTTP, gRPC and profiling; "" is all; at least one */
};

/*
 * Reads the command line and the environment. ret and ret_message are set whatever the answer is; ret_message ends in a
 * newline where it is to be printed and has none where it is to be logged.
 */
enum options_action options_parse(int argc, char *const *argv, struct arena *a, struct options *ret,
				  struct str *ret_message);

/* 0; -1 with a sentence that starts in lower case, to be logged behind "Fatal error from runtime: ". */
int options_check(struct arena *a, struct options *o, struct str *ret_message);

/*
 * The port of the internal gRPC server when none is given: the same for the same application, working directory, user
 * and host, if it can be bound on localhost now, else one that the system chooses. -1: errno tells why there is none.
 */
int options_internal_port(struct str app_id);
/* The derivation alone, 47300..65534. */
int options_stable_port(struct str app_id, const char *cwd, unsigned uid, const char *hostname);

/* Loops when --loops is not given: the smaller of 4 and the CPUs that affinity and the cgroup's quota grant, at least 1. */
int options_default_loops(void);

/* Asks http://localhost:<port>/v1.0/healthz/outbound each 100 ms until it answers 204, for 60 s at most; progress goes to
 * `to` (standard error as Dapr does). Blocks. Returns 1 when it became ready, though the process exits 0 either way. */
int options_wait(const struct options *o, FILE *to);
#endif
