/* SPDX-License-Identifier: Apache-2.0 */
#include "main/options.h"

#include <limits.h>
#include <stdlib.h>

#include "base/banned.h"
#include "base/log.h"

#define LOG_SCOPE "dapr.runtime"
#define DEFAULT_BODY (4 << 20)
#define DEFAULT_READ (4 << 10)

/* As strconv.Atoi, whose words Dapr's users know from its log. */
static int port_number(struct arena *a, struct str text, const char *flag, int *ret, struct str *ret_message)
{
	int64_t v;
	size_t digits = text.n && (text.p[0] == '-' || text.p[0] == '+') ? 1 : 0;
	int number = text.n > digits;

	for (size_t i = digits; i < text.n; i++)
		number &= text.p[i] >= '0' && text.p[i] <= '9';
	if (number && str_int(text, &v) == 0 && v >= INT_MIN && v <= INT_MAX) {
		*ret = (int)v;
		return 0;
	}
	*ret_message = arena_printf(a, "error parsing %s: strconv.Atoi: parsing \"" STR_FMT "\": %s", flag,
				    STR_ARG(text), number ? "value out of range" : "invalid syntax");
	return -1;
}

static int check_ports(struct arena *a, struct options *o, struct str *ret_message)
{
	/* The words "flag" differ as they do in Dapr. */
	struct {
		struct str text;
		const char *flag;
		int *to;
	} ports[] = {
		{ o->dapr_http_port, "dapr-http-port flag", &o->number.http_port },
		{ o->dapr_grpc_port, "dapr-grpc-port flag", &o->number.grpc_port },
		{ o->profile_port, "profile-port flag", &o->number.profile_port },
		{ o->dapr_internal_grpc_port, "dapr-internal-grpc-port", &o->number.internal_grpc_port },
		{ o->dapr_public_port, "dapr-public-port", &o->number.public_port },
		{ o->app_port, "app-port", &o->number.app_port },
	};

	o->number.public_port = -1;
	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		if ((i < 3 || ports[i].text.n) &&
		    port_number(a, ports[i].text, ports[i].flag, ports[i].to, ret_message) < 0)
			return -1;
	if (!o->dapr_internal_grpc_port.n || str_is(o->dapr_internal_grpc_port, "0")) {
		o->number.internal_grpc_port = options_internal_port(o->app_id);
		if (o->number.internal_grpc_port < 0) {
			*ret_message = STR("failed to get free port for internal grpc server");
			return -1;
		}
	}
	/* An application port of 0 means none, yet Dapr refuses it beside an API port of 0. */
	const char *clash = o->number.app_port == o->number.http_port	? "dapr-http-port"
			    : o->number.app_port == o->number.grpc_port ? "dapr-grpc-port"
									: NULL;
	if (!clash)
		return 0;
	*ret_message = arena_printf(a, "the '%s' argument value %d conflicts with 'app-port'", clash,
				    o->number.app_port);
	return -1;
}

static int check_protocol(struct arena *a, struct options *o, struct str *ret_message)
{
	static const struct {
		const char *word;
		enum app_protocol plain, ssl;
		int warns;
	} words[] = {
		{ "", APP_PROTOCOL_HTTP, APP_PROTOCOL_HTTP, 0 },
		{ "http", APP_PROTOCOL_HTTP, APP_PROTOCOL_HTTPS, 1 },
		{ "https", APP_PROTOCOL_HTTPS, APP_PROTOCOL_HTTPS, 0 },
		{ "h2c", APP_PROTOCOL_H2C, APP_PROTOCOL_H2C, 0 },
		{ "grpc", APP_PROTOCOL_GRPC, APP_PROTOCOL_GRPCS, 1 },
		{ "grpcs", APP_PROTOCOL_GRPCS, APP_PROTOCOL_GRPCS, 0 },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!str_ieq(o->app_protocol, str_of(words[i].word)))
			continue;
		o->protocol = o->app_ssl ? words[i].ssl : words[i].plain;
		if (o->app_ssl && words[i].warns)
			log_warn("The 'app-ssl' flag is deprecated; use 'app-protocol=%ss' instead", words[i].word);
		return 0;
	}
	*ret_message = arena_printf(a, "invalid value for 'app-protocol': " STR_FMT, STR_ARG(o->app_protocol));
	return -1;
}

static int check_init_endpoints(struct arena *a, struct options *o, struct str *ret_message)
{
	size_t n = 0;
	struct str *kept = arena_alloc(a, (o->disable_init_endpoints.n + 1) * sizeof(*kept));

	for (size_t i = 0; i < o->disable_init_endpoints.n; i++) {
		struct str word = str_trim(o->disable_init_endpoints.at[i]);

		if (str_ieq(word, STR("config"))) {
			kept[n++] = STR("config");
		} else if (str_ieq(word, STR("subscribe"))) {
			kept[n++] = STR("subscribe");
		} else if (word.n) {
			*ret_message = arena_printf(a, "invalid value for 'disable-init-endpoints': " STR_FMT,
						    STR_ARG(word));
			return -1;
		}
	}
	o->disable_init_endpoints = (struct options_list){ n, kept };
	return 0;
}

static int check_health(struct options *o, struct str *ret_message)
{
	if (o->app_health_probe_interval <= 0)
		o->app_health_probe_interval = 5;
	if (o->app_health_probe_timeout <= 0)
		o->app_health_probe_timeout = 500;
	if (o->app_health_threshold < 1 || o->app_health_threshold >= INT32_MAX)
		o->app_health_threshold = 3;
	if (o->app_health_probe_interval > INT32_MAX) /* a lifetime, and safe to count in ms */
		o->app_health_probe_interval = INT32_MAX;
	if (o->app_health_probe_timeout > o->app_health_probe_interval * 1000) {
		*ret_message = STR("value for 'health-probe-timeout' must be smaller than 'health-probe-interval'");
		return -1;
	}
	return 0;
}

/* An IPv6 address may stand in brackets, as it does before a port. */
static struct str without_brackets(struct arena *a, struct str address)
{
	if (address.n > 2 && address.p[0] == '[' && address.p[address.n - 1] == ']')
		return arena_str(a, (struct str){ address.p + 1, address.n - 2 });
	return address;
}

static void listen_addresses(struct arena *a, struct options *o)
{
	struct str rest = o->dapr_listen_addresses, part;
	size_t n = 1;

	for (size_t i = 0; i < rest.n; i++)
		n += rest.p[i] == ',';
	struct str *at = arena_alloc(a, n * sizeof(*at));

	n = 0;
	at[0] = STR("");
	while (str_split(&rest, ',', &part))
		at[n++] = without_brackets(a, arena_str(a, str_trim(part)));
	o->listen = (struct options_list){ n ? n : 1, at };
	o->metrics_listen_address = without_brackets(a, o->metrics_listen_address);
	o->dapr_public_listen_address = without_brackets(a, o->dapr_public_listen_address);
	o->dapr_internal_grpc_listen_address = without_brackets(a, o->dapr_internal_grpc_listen_address);
}

/* Numbers whose odd values mean "the default" or "none". */
static void odd_values(struct options *o)
{
	if (o->max_body_size < 0)
		o->max_body_size = DEFAULT_BODY;
	if (o->read_buffer_size < 0)
		o->read_buffer_size = DEFAULT_READ;
	if (o->app_max_concurrency < 0)
		o->app_max_concurrency = 0;
	if (o->dapr_graceful_shutdown_seconds < 0)
		o->dapr_graceful_shutdown_seconds = 5;
	if (o->app_binding_options_timeout <= 0)
		o->app_binding_options_timeout = INT64_C(3000000000);
	if (o->hot_reload_reconcile_interval < 0)
		o->hot_reload_reconcile_interval = 0;
}

int options_check(struct arena *a, struct options *o, struct str *ret_message)
{
	int standalone = str_is(o->mode, "standalone");

	if (!standalone && !str_is(o->mode, "kubernetes")) {
		/* Dapr takes any word and then loads no resource at all. */
		*ret_message = arena_printf(a, "invalid value for 'mode': " STR_FMT " (standalone or kubernetes)",
					    STR_ARG(o->mode));
		return -1;
	}
	if (o->resources_path.n == 0 && o->components_path.n) {
		struct str *one = arena_alloc(a, sizeof(*one));

		*one = o->components_path;
		o->resources_path = (struct options_list){ 1, one };
	}
	if (standalone && o->app_id.n == 0) {
		*ret_message = STR("parameter app-id cannot be empty");
		return -1;
	}
	if (standalone && memchr(o->app_id.p, '.', o->app_id.n)) {
		*ret_message = STR("parameter app-id cannot contain dots");
		return -1;
	}
	odd_values(o);
	listen_addresses(a, o);
	if (check_ports(a, o, ret_message) < 0 || check_protocol(a, o, ret_message) < 0 ||
	    check_init_endpoints(a, o, ret_message) < 0 || check_health(o, ret_message) < 0)
		return -1;
	return 0;
}
