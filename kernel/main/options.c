/* SPDX-License-Identifier: Apache-2.0 */
#include "main/options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/banned.h"
#include "base/buf.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/quantity.h"
#include "base/version.h"

/* LIST: CSV, repeated; PATHS: as LIST, but its environment variable separates by colons. */
enum flag_type { STRING, BOOL, INT, UINT, DURATION, BYTES, LIST, PATHS };

#define HIDDEN 1

struct flag {
	const char *name;
	enum flag_type type;
	const char *def; /* in the flag's own syntax; NULL: the field's zero or what options_init() put there */
	size_t at;	 /* of the field in struct options; UNUSED: in parser.old, see below */
	int flags;
	const char *env;	/* asked when the flag is not given */
	const char *deprecated; /* what to use instead */
	const char *help;
};

/* The two deprecated sizes, in MB and KB; they count only when their successors are not given. */
struct old_sizes {
	int64_t request_mb, read_kb;
};

#define AT(field) offsetof(struct options, field)
#define OLD(field) (sizeof(struct options) + offsetof(struct old_sizes, field))

/* Sorted by name, which is the order of the usage text. */
static const struct flag flags[] = {
	{ "actors-disseminate-timeout", DURATION, "30s", AT(actors_disseminate_timeout), 0, NULL, NULL,
	  "Longest time for one round of the placement table before the stream is reset and hosted actors stop" },
	{ "actors-service", STRING, "", AT(actors_service), HIDDEN, NULL, "flag no longer has any effect", "" },
	{ "allowed-origins", STRING, "", AT(allowed_origins), 0, NULL, NULL,
	  "Origins that CORS allows, separated by commas; * for all, empty for none" },
	{ "app-binding-options-timeout", DURATION, "3s", AT(app_binding_options_timeout), 0, NULL, NULL,
	  "Time the application has to say which input bindings it wants" },
	{ "app-channel-address", STRING, "127.0.0.1", AT(app_channel_address), 0, NULL, NULL,
	  "Address at which the application listens" },
	{ "app-health-check-path", STRING, "/healthz", AT(app_health_check_path), 0, NULL, NULL,
	  "Path of the application's health check, HTTP only" },
	{ "app-health-probe-interval", INT, "5", AT(app_health_probe_interval), 0, NULL, NULL,
	  "Seconds between two probes of the application" },
	{ "app-health-probe-timeout", INT, "500", AT(app_health_probe_timeout), 0, NULL, NULL,
	  "Milliseconds the application has to answer a probe" },
	{ "app-health-threshold", INT, "3", AT(app_health_threshold), 0, NULL, NULL,
	  "Failed probes in a row that make the application unhealthy" },
	{ "app-id", STRING, "", AT(app_id), 0, NULL, NULL,
	  "Identity of the application, for discovery, state and security" },
	{ "app-max-concurrency", INT, "-1", AT(app_max_concurrency), 0, NULL, NULL,
	  "Calls into the application at the same time; -1 for no limit" },
	{ "app-port", STRING, "", AT(app_port), 0, NULL, NULL, "Port on which the application listens" },
	{ "app-protocol", STRING, "http", AT(app_protocol), 0, NULL, NULL,
	  "Protocol of the application: grpc, grpcs, http, https, h2c" },
	{ "app-ssl", BOOL, "false", AT(app_ssl), 0, NULL, "use '--app-protocol https|grpcs'", "" },
	{ "build-info", BOOL, "false", AT(build_info), 0, NULL, NULL, "Print what this build is" },
	{ "components-path", STRING, "", AT(components_path), 0, NULL, "use --resources-path", "" },
	{ "config", LIST, NULL, AT(config), 0, NULL, NULL,
	  "Configuration: a file (repeatable, merged in order), in Kubernetes the name of the resource" },
	{ "control-plane-address", STRING, "", AT(control_plane_address), 0, NULL, NULL, "Address of the operator" },
	{ "control-plane-namespace", STRING, "default", AT(control_plane_namespace), 0, "DAPR_CONTROLPLANE_NAMESPACE",
	  NULL, "Namespace of the control plane" },
	{ "control-plane-trust-domain", STRING, "localhost", AT(control_plane_trust_domain), 0,
	  "DAPR_CONTROLPLANE_TRUST_DOMAIN", NULL, "Trust domain of the control plane" },
	{ "dapr-block-shutdown-duration", DURATION, NULL, AT(dapr_block_shutdown_duration), 0, NULL, NULL,
	  "Keep serving for so long after the signal to end, or until the application is unhealthy" },
	{ "dapr-graceful-shutdown-seconds", INT, "5", AT(dapr_graceful_shutdown_seconds), 0, NULL, NULL,
	  "Seconds that calls in flight have to end" },
	{ "dapr-grpc-port", STRING, "50001", AT(dapr_grpc_port), 0, NULL, NULL, "Port of the gRPC API" },
	{ "dapr-http-max-request-size", INT, "4", OLD(request_mb), 0, NULL, "use '--max-body-size 4Mi'", "" },
	{ "dapr-http-port", STRING, "3500", AT(dapr_http_port), 0, NULL, NULL, "Port of the HTTP API" },
	{ "dapr-http-read-buffer-size", INT, "4", OLD(read_kb), 0, NULL, "use '--read-buffer-size 4Ki'", "" },
	{ "dapr-internal-grpc-listen-address", STRING, "", AT(dapr_internal_grpc_listen_address), 0, NULL, NULL,
	  "Address of the internal gRPC server" },
	{ "dapr-internal-grpc-port", STRING, "", AT(dapr_internal_grpc_port), 0, NULL, NULL,
	  "Port of the internal gRPC server, by which sidecars reach each other" },
	{ "dapr-listen-addresses", STRING, "", AT(dapr_listen_addresses), 0, NULL, NULL,
	  "Addresses of the HTTP and gRPC API, separated by commas; empty for all" },
	{ "dapr-public-listen-address", STRING, "", AT(dapr_public_listen_address), 0, NULL, NULL,
	  "Address of the public listener" },
	{ "dapr-public-port", STRING, "", AT(dapr_public_port), 0, NULL, NULL,
	  "Port of the public listener, which serves health and metadata only" },
	{ "disable-builtin-k8s-secret-store", BOOL, "false", AT(disable_builtin_k8s_secret_store), 0, NULL, NULL,
	  "Do not offer the secret store named kubernetes by itself" },
	{ "disable-init-endpoints", LIST, NULL, AT(disable_init_endpoints), 0, NULL, NULL,
	  "What not to ask the application at the start: config, subscribe" },
	{ "enable-api-logging", BOOL, NULL, AT(enable_api_logging), 0, NULL, NULL, "Log each call of the API" },
	{ "enable-app-health-check", BOOL, "false", AT(enable_app_health_check), 0, NULL, NULL,
	  "Probe the application's health, with its protocol" },
	{ "enable-metrics", BOOL, "true", AT(enable_metrics), 0, NULL, NULL, "Serve metrics for Prometheus" },
	{ "enable-mtls", BOOL, "false", AT(enable_mtls), 0, NULL, NULL, "Mutual TLS between sidecars" },
	{ "enable-profiling", BOOL, "false", AT(enable_profiling), 0, NULL, NULL, "Open the profiling port" },
	{ "hot-reload-reconcile-interval", DURATION, "0s", AT(hot_reload_reconcile_interval), 0, NULL, NULL,
	  "Period in which resources are listed again, should a change have been missed; 0 for 60s" },
	{ "log-as-json", BOOL, "false", AT(log_as_json), 0, NULL, NULL, "Write log lines as JSON" },
	{ "log-file", STRING, "", AT(log_file), 0, NULL, NULL, "File to which the log is appended" },
	{ "log-level", STRING, "info", AT(log_level), 0, NULL, NULL, "debug, info, warn, error or fatal" },
	{ "loops", INT, NULL, AT(loops), 0, NULL, NULL,
	  "Threads that serve; 0 for the smaller of 4 and the granted CPUs (Davit only)" },
	{ "max-body-size", BYTES, "4Mi", AT(max_body_size), 0, NULL, NULL,
	  "Largest request body of the HTTP and gRPC API, as a quantity" },
	{ "metrics-listen-address", STRING, "0.0.0.0", AT(metrics_listen_address), 0, NULL, NULL,
	  "Address of the metrics server" },
	{ "metrics-port", STRING, "9090", AT(metrics_port), 0, NULL, NULL, "Port of the metrics server" },
	{ "min-tier", STRING, "", AT(min_tier), 0, NULL, NULL,
	  "Refuse components below this support tier: managed, standard, community (Davit only)" },
	{ "mode", STRING, "standalone", AT(mode), 0, NULL, NULL, "standalone or kubernetes" },
	{ "placement-host-address", STRING, "", AT(placement_host_address), 0, NULL, NULL,
	  "Addresses of the placement service, separated by commas" },
	{ "plugins-path", PATHS, NULL, AT(plugins_path), 0, "DAVIT_PLUGINS_PATH", NULL,
	  "Folder of plugins; repeatable, searched in order (Davit only)" },
	{ "profile-port", STRING, "7777", AT(profile_port), 0, NULL, NULL, "Port of the profiling server" },
	{ "read-buffer-size", BYTES, "4Ki", AT(read_buffer_size), 0, NULL, NULL,
	  "Largest header block of a request, as a quantity" },
	{ "reminders-service", STRING, "", AT(reminders_service), HIDDEN, NULL, "flag no longer has any effect", "" },
	{ "resources-path", LIST, NULL, AT(resources_path), 0, NULL, NULL, "Folder of resource files; repeatable" },
	{ "scheduler-host-address", LIST, NULL, AT(scheduler_host_address), 0, "DAPR_SCHEDULER_HOST_ADDRESS_DNS_A",
	  NULL, "Addresses of the scheduler service, separated by commas" },
	{ "scheduler-job-streams", UINT, "3", AT(scheduler_job_streams), 0, NULL, NULL,
	  "Job streams to the scheduler service" },
	{ "sentry-address", STRING, "", AT(sentry_address), 0, NULL, NULL, "Address of the certificate authority" },
	{ "sentry-request-jwt-audiences", LIST, NULL, AT(sentry_request_jwt_audiences), 0, NULL, NULL,
	  "Audiences asked for in the certificate request; none: the trust domain" },
	{ "unix-domain-socket", STRING, "", AT(unix_domain_socket), 0, NULL, NULL,
	  "Folder of Unix sockets on which the API listens instead of ports" },
	{ "version", BOOL, "false", AT(version), 0, NULL, NULL, "Print the version" },
	{ "wait", BOOL, "false", AT(wait), 0, NULL, NULL, "Wait until a sidecar on the HTTP port can be called" },
};

#define NFLAGS (sizeof(flags) / sizeof(*flags))

struct parser {
	struct arena *a;
	struct options *o;
	struct old_sizes old;
	struct str given[NFLAGS]; /* the value as it came, p NULL: not given */
	struct str fault;	  /* why the last flag_set() failed */
};

static void *field(struct parser *p, const struct flag *f)
{
	if (f->at >= sizeof(struct options))
		return (char *)&p->old + (f->at - sizeof(struct options));
	return (char *)p->o + f->at;
}

static const struct flag *flag_find(struct str name)
{
	for (size_t i = 0; i < NFLAGS; i++)
		if (str_is(name, flags[i].name))
			return &flags[i];
	return NULL;
}

static void list_add(struct arena *a, struct options_list *l, struct str item)
{
	struct str *at = arena_alloc(a, (l->n + 1) * sizeof(*at));

	if (l->n)
		memcpy(at, l->at, l->n * sizeof(*at));
	at[l->n] = arena_str(a, item);
	*l = (struct options_list){ l->n + 1, at };
}

/* One field of a CSV line (RFC 4180, as Go's encoding/csv reads it). -1: its quotes are wrong. */
static int csv_field(struct parser *p, struct str *rest, int *ret_more, struct str *ret_item)
{
	struct buf item = buf_in(p->a);
	struct str s = *rest;
	size_t i = 0;

	if (s.n && s.p[0] == '"') {
		for (i = 1; i < s.n; i++) {
			if (s.p[i] != '"')
				buf_addc(&item, s.p[i]);
			else if (i + 1 < s.n && s.p[i + 1] == '"')
				buf_addc(&item, s.p[i++]);
			else
				break;
		}
		if (i++ >= s.n || (i < s.n && s.p[i] != ','))
			return -1;
	} else {
		for (; i < s.n && s.p[i] != ','; i++) {
			if (s.p[i] == '"')
				return -1;
			buf_addc(&item, s.p[i]);
		}
	}
	*ret_item = buf_str(&item);
	*ret_more = i < s.n;
	*rest = str_from(s, i + 1);
	return 0;
}

static int set_list(struct parser *p, struct options_list *l, struct str value)
{
	struct str item;
	int more = value.n > 0;

	while (more) {
		if (csv_field(p, &value, &more, &item) < 0) {
			p->fault = STR("a quote stands where none may be");
			return -1;
		}
		list_add(p->a, l, item);
	}
	return 0;
}

/* As strconv.ParseInt(s, 0, 64): 0x, 0o, 0b and a leading 0 choose the base. -1 with p->fault. */
static int set_int(struct parser *p, struct str value, int is_unsigned, int64_t *ret)
{
	const char *c = arena_str(p->a, value).p;
	const char *digits = c + (*c == '-' || *c == '+');
	const char *what = is_unsigned ? "strconv.ParseUint" : "strconv.ParseInt";
	int base = 0, minus = *c == '-';
	char *end;

	if (digits[0] == '0' && (digits[1] == 'b' || digits[1] == 'B'))
		base = 2;
	else if (digits[0] == '0' && (digits[1] == 'o' || digits[1] == 'O'))
		base = 8;
	const char *first = digits + (base ? 2 : 0);

	errno = 0;
	unsigned long long v = strtoull(first, &end, base);
	int bad = (*first < '0' || *first > '9') || end == first || (size_t)(end - c) != value.n ||
		  (is_unsigned && digits != c);
	unsigned long long limit = is_unsigned ? ULLONG_MAX : (unsigned long long)INT64_MAX + (unsigned)minus;

	if (bad || errno == ERANGE || v > limit) {
		p->fault = arena_printf(p->a, "%s: parsing \"%s\": %s", what, c,
					bad ? "invalid syntax" : "value out of range");
		return -1;
	}
	*ret = (int64_t)(minus ? 0 - v : v);
	return 0;
}

static int set_bool(struct parser *p, struct str value, int *ret)
{
	if (str_bool(value, ret) == 0)
		return 0;
	p->fault = arena_printf(p->a, "strconv.ParseBool: parsing \"" STR_FMT "\": invalid syntax", STR_ARG(value));
	return -1;
}

static int flag_set(struct parser *p, const struct flag *f, struct str value)
{
	void *to = field(p, f);

	switch (f->type) {
	case STRING: *(struct str *)to = arena_str(p->a, value); return 0;
	case BOOL: return set_bool(p, value, to);
	case INT:
	case UINT: return set_int(p, value, f->type == UINT, to);
	case DURATION:
		if (duration_parse(value, to) == 0)
			return 0;
		p->fault = arena_printf(p->a, "time: invalid duration \"" STR_FMT "\"", STR_ARG(value));
		return -1;
	case BYTES: return 0; /* size() reads it when all flags are known: a fault in it is none of the usage's */
	case LIST:
	case PATHS: return set_list(p, to, value);
	}
	return -1;
}

/* ---- Usage, in the form of Go's pflag ---- */

static const char *type_word(const struct flag *f)
{
	static const char *const words[] = { "string", "", "int", "uint", "duration", "string", "strings", "strings" };

	return words[f->type];
}

static void usage_line(struct buf *b, const struct flag *f, size_t width)
{
	const char *word = type_word(f);
	size_t used = strlen(f->name) + (*word ? strlen(word) + 1 : 0);
	int show = f->def && *f->def && strcmp(f->def, "false") != 0 && strcmp(f->def, "0s") != 0;
	const char *quote = f->type == STRING || f->type == BYTES ? "\"" : "";

	buf_printf(b, "      --%s%s%s%*s   %s", f->name, *word ? " " : "", word, (int)(width - used), "", f->help);
	if (show)
		buf_printf(b, " (default %s%s%s)", quote, f->def, quote);
	buf_lit(b, "\n");
}

static void usage(struct buf *b, const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
	size_t width = 0;

	for (size_t i = 0; i < NFLAGS; i++) {
		size_t n = strlen(flags[i].name) + strlen(type_word(&flags[i])) + 1;

		if (!flags[i].deprecated && n > width)
			width = n;
	}
	buf_printf(b, "Usage of %s:\n", slash ? slash + 1 : argv0 ? argv0 : "davitd");
	for (size_t i = 0; i < NFLAGS; i++)
		if (!flags[i].deprecated)
			usage_line(b, &flags[i], width);
}

static enum options_action usage_fault(struct parser *p, const char *argv0, struct str what, struct str *ret_message)
{
	struct buf b = buf_in(p->a);

	usage(&b, argv0);
	buf_adds(&b, what);
	buf_lit(&b, "\n");
	*ret_message = buf_str(&b);
	return OPTIONS_USAGE;
}

/* ---- The command line ---- */

static void notice_deprecated(struct parser *p, const struct flag *f)
{
	list_add(p->a, &p->o->notices, arena_printf(p->a, "Flag --%s has been deprecated, %s", f->name, f->deprecated));
}

/* One argument at argv[*at], with the next one where it takes a value. RUN: go on. */
static enum options_action argument(struct parser *p, int argc, char *const *argv, int *at, struct str *ret_message)
{
	struct str arg = str_of(argv[*at]), name, value;
	const struct flag *f;

	if (arg.n < 2 || arg.p[0] != '-')
		return OPTIONS_RUN; /* a word without a flag: Dapr passes over it */
	if (arg.n == 2 && arg.p[1] == 'h')
		return OPTIONS_HELP;
	if (arg.n == 2)
		return usage_fault(p, argv[0],
				   arena_printf(p->a, "unknown shorthand flag: '%c' in %s", arg.p[1], arg.p),
				   ret_message);
	name = str_from(arg, arg.p[1] == '-' ? 2 : 1);
	int has_value = str_cut(name, '=', &name, &value);

	if (name.n == 0 || name.p[0] == '-')
		return usage_fault(p, argv[0], arena_printf(p->a, "bad flag syntax: %s", arg.p), ret_message);
	f = flag_find(name);
	if (!f && str_is(name, "help"))
		return OPTIONS_HELP;
	if (!f)
		return usage_fault(p, argv[0], arena_printf(p->a, "unknown flag: --" STR_FMT, STR_ARG(name)),
				   ret_message);
	if (!has_value && f->type == BOOL)
		value = STR("true");
	else if (!has_value && *at + 1 < argc)
		value = str_of(argv[++*at]);
	else if (!has_value)
		return usage_fault(p, argv[0], arena_printf(p->a, "flag needs an argument: --%s", f->name),
				   ret_message);
	if (flag_set(p, f, value) == 0) {
		p->given[f - flags] = value;
		if (f->deprecated)
			notice_deprecated(p, f);
		return OPTIONS_RUN;
	}
	return usage_fault(p, argv[0],
			   arena_printf(p->a, "invalid argument \"" STR_FMT "\" for \"--%s\" flag: " STR_FMT,
					STR_ARG(value), f->name, STR_ARG(p->fault)),
			   ret_message);
}

static struct str given(const struct parser *p, const char *name)
{
	return p->given[flag_find(str_of(name)) - flags];
}

/* What is given as a quantity wins over the deprecated number of `unit` bytes. */
static int size(struct parser *p, const char *name, const char *old_name, int64_t old, int64_t unit, int64_t *ret)
{
	struct str text = given(p, name);

	if (text.p && quantity_parse(text, ret) < 0) {
		p->fault = arena_printf(p->a,
					"invalid value for '%s' option: \"" STR_FMT "\" is not a quantity such as 4Mi",
					name, STR_ARG(text));
		return -1;
	}
	if (!text.p && given(p, old_name).p)
		*ret = old > INT64_MAX / unit ? INT64_MAX : old > 0 ? old * unit : old;
	return 0;
}

static void environment(struct parser *p)
{
	for (size_t i = 0; i < NFLAGS; i++) {
		const struct flag *f = &flags[i];
		const char *value = f->env && !p->given[i].p ? getenv(f->env) : NULL;
		struct str rest = str_of(value), part;

		if (!value)
			continue;
		if (f->type == STRING)
			flag_set(p, f, rest);
		else
			while (str_split(&rest, f->type == PATHS ? ':' : ',', &part))
				if (part.n)
					list_add(p->a, field(p, f), part);
	}
}

static void defaults(struct parser *p)
{
	*p->o = (struct options){ .enable_api_logging = -1, .dapr_block_shutdown_duration = -1 };
	p->o->max_body_size = 4 << 20;
	p->o->read_buffer_size = 4 << 10;
	for (size_t i = 0; i < NFLAGS; i++)
		if (flags[i].def)
			flag_set(p, &flags[i], str_of(flags[i].def));
		else if (flags[i].type == STRING)
			flag_set(p, &flags[i], STR(""));
}

/* What needs all flags. -1 with p->fault. */
static int together(struct parser *p)
{
	static const char *const tiers[] = { "", "community", "standard", "managed" };
	struct options *o = p->o;
	size_t tier = 0;

	environment(p);
	if (o->placement_host_address.n)
		o->actors_service = arena_printf(p->a, "placement:" STR_FMT, STR_ARG(o->placement_host_address));
	if (o->dapr_block_shutdown_duration < 0 && given(p, "dapr-block-shutdown-duration").p)
		o->dapr_block_shutdown_duration = 0;
	if (size(p, "max-body-size", "dapr-http-max-request-size", p->old.request_mb, 1 << 20, &o->max_body_size) < 0 ||
	    size(p, "read-buffer-size", "dapr-http-read-buffer-size", p->old.read_kb, 1 << 10, &o->read_buffer_size) <
		    0)
		return -1;
	if (o->actors_disseminate_timeout <= 0) {
		char text[DURATION_TEXT];

		duration_text(o->actors_disseminate_timeout, text);
		p->fault = arena_printf(
			p->a, "invalid value for 'actors-disseminate-timeout' option: must be positive, got %s", text);
		return -1;
	}
	while (tier < 4 && !str_is(o->min_tier, tiers[tier]))
		tier++;
	if (tier == 4) {
		p->fault = arena_printf(p->a,
					"invalid value for 'min-tier' option: must be managed, standard or community, "
					"got \"" STR_FMT "\"",
					STR_ARG(o->min_tier));
		return -1;
	}
	if (o->loops < 0 || o->loops > 64) {
		p->fault = arena_printf(p->a, "invalid value for 'loops' option: must be between 0 and 64, got %lld",
					(long long)o->loops);
		return -1;
	}
	if (o->loops == 0)
		o->loops = options_default_loops();
	return 0;
}

static struct str build_info(struct arena *a)
{
	return arena_printf(a, "Version: %s\nGit Commit: %s\nGit Version: %s\nDavit: %s\n", DAPR_LEVEL, DAVIT_COMMIT,
			    "v" DAVIT_VERSION, DAVIT_VERSION);
}

enum options_action options_parse(int argc, char *const *argv, struct arena *a, struct options *ret,
				  struct str *ret_message)
{
	struct parser p = { .a = a, .o = ret };
	enum log_level level;

	*ret_message = STR("");
	defaults(&p);
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		enum options_action what = argument(&p, argc, argv, &i, ret_message);

		if (what == OPTIONS_HELP) {
			struct buf b = buf_in(a);

			usage(&b, argv[0]);
			*ret_message = buf_str(&b);
		}
		if (what != OPTIONS_RUN)
			return what;
	}
	if (together(&p) < 0) {
		*ret_message = arena_printf(a, "Failed to parse flags: " STR_FMT, STR_ARG(p.fault));
		return OPTIONS_FATAL;
	}
	if (ret->version || ret->build_info) {
		*ret_message = ret->version ? STR(DAPR_LEVEL "\n") : build_info(a);
		return OPTIONS_PRINT;
	}
	if (ret->wait)
		return OPTIONS_WAIT;
	if (log_level_of(ret->log_level, &level) < 0) {
		*ret_message = arena_printf(a, "invalid value for --log-level: " STR_FMT, STR_ARG(ret->log_level));
		return OPTIONS_FATAL;
	}
	return OPTIONS_RUN;
}
