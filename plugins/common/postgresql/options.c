/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <ctype.h>
#include <davit/duration.h>
#include <davit/truth.h>
#include <stdlib.h>
#include <unistd.h>

#define MS 1000000 /* nanoseconds */
#define PORT "5432"
#define IDLE_MS (30 * 60 * 1000)
#define LIFE_MS (60 * 60 * 1000)
#define CONNECT_MS (2 * 60 * 1000)

static int invalid(struct pg_fault *f, const char *field, const char *value, const char *what)
{
	pg_fault_set(f, DAVIT_INVALID_ARGUMENT, NULL, "invalid value for '%s': '%.64s' is no %s", field, value, what);
	return -1;
}

int pg_options_span(const struct davit_open *in, const char *field, int64_t fallback_ms, int64_t *ret_ms,
		    struct pg_fault *f)
{
	struct davit_str s = davit_prop(in, field);
	int64_t ns;

	*ret_ms = fallback_ms;
	if (s.n == 0)
		return 0;
	if (davit_duration_parse(s, &ns) < 0)
		return invalid(f, field, s.p, "duration such as 20s or 1m30s");
	*ret_ms = ns > 0 && ns < MS ? 1 : ns / MS;
	return 0;
}

int pg_options_name(struct davit_str s, const char *field, struct pg_fault *f)
{
	int quoted = 0;
	size_t i;

	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"')
			quoted = !quoted;
		else if (!quoted && !isalnum(c) && c < 0x80 && strchr("_$.", c) == NULL)
			break;
	}
	return i == s.n && !quoted
		       ? 0
		       : invalid(f, field, s.p, "name of a table (letters, digits, _ and $; others in double quotes)");
}

static int whole(const char *text, int *ret_value)
{
	size_t n = strlen(text), digits = strspn(text + (*text == '-' || *text == '+'), "0123456789");

	if (digits == 0 || digits > 9 || text[n - digits] == '\0' || strspn(text + n - digits, "0123456789") != digits)
		return -1;
	*ret_value = (int)strtol(text, NULL, 10);
	return 0;
}

/* What the metadata names besides the connection string counts more. */
static int add_fields(const struct davit_open *in, struct pg_options *o, int url, struct pg_fault *f)
{
	static const struct {
		const char *field, *setting;
	} fields[] = {
		{ "user", "user" },
		{ "host", "host" },
		{ "hostaddr", "hostaddr" },
		{ "port", "port" },
		{ "database", "dbname" },
		{ "password", "password" },
		{ "sslRootCert", "sslrootcert" },
	};
	size_t i;

	/* The host of a URL and its port are replaced together, as in Dapr. */
	if (url && (davit_prop(in, "host").n > 0 || davit_prop(in, "hostaddr").n > 0))
		pg_settings_drop(o, "port");
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct davit_str s = davit_prop(in, fields[i].field);

		if (s.n > 0 && pg_settings_set(o, fields[i].setting, s.p, s.n) < 0)
			return pg_fault_no_memory(f), -1;
	}
	return 0;
}

/* Takes a setting out and reads it as a span of time ("1h", or seconds). */
static int take_span(struct pg_options *o, const char *name, const char *env, int64_t *ms, struct pg_fault *f)
{
	const char *text = pg_settings_get(o, name);
	int64_t ns;

	if (text == NULL && env != NULL)
		text = getenv(env);
	if (text == NULL || *text == '\0')
		return 0;
	if (davit_duration_parse(davit_str(text), &ns) < 0)
		return invalid(f, name, text, "duration");
	if (ns > 0)
		*ms = ns / MS;
	pg_settings_drop(o, name);
	return 0;
}

static int take_pool(const struct davit_open *in, struct pg_options *o, struct pg_fault *f)
{
	static const char *const without_effect[] = {
		"pool_min_conns",	    "pool_min_idle_conns",
		"pool_health_check_period", "pool_max_conn_lifetime_jitter",
		"statement_cache_capacity", "description_cache_capacity",
		"min_read_buffer_size",	    "sslnegotiation",
	};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const char *text = pg_settings_get(o, "pool_max_conns");
	struct davit_str field = davit_prop(in, "maxConns");
	int64_t idle;
	size_t i;
	int n;

	o->most = cpus > 4 ? (int)cpus : 4;
	if (text != NULL && (whole(text, &o->most) < 0 || o->most < 1))
		return invalid(f, "pool_max_conns", text, "number of connections");
	pg_settings_drop(o, "pool_max_conns");
	if (field.n > 0 && whole(field.p, &n) < 0)
		return invalid(f, "maxConns", field.p, "whole number");
	if (field.n > 0 && n > 1) /* 1 counts as not set, as in Dapr */
		o->most = n;
	o->idle_ms = IDLE_MS;
	o->life_ms = LIFE_MS;
	o->connect_ms = CONNECT_MS;
	if (take_span(o, "pool_max_conn_idle_time", NULL, &o->idle_ms, f) < 0 ||
	    take_span(o, "pool_max_conn_lifetime", NULL, &o->life_ms, f) < 0 ||
	    take_span(o, "connect_timeout", "PGCONNECT_TIMEOUT", &o->connect_ms, f) < 0 ||
	    pg_options_span(in, "connectionMaxIdleTime", 0, &idle, f) < 0)
		return -1;
	if (idle > 0)
		o->idle_ms = idle;
	text = pg_settings_get(o, "sslnegotiation");
	if (text != NULL && strcmp(text, "postgres") != 0)
		return invalid(f, "sslnegotiation", text, "way that is offered here (postgres)");
	for (i = 0; i < sizeof(without_effect) / sizeof(without_effect[0]); i++)
		pg_settings_drop(o, without_effect[i]);
	return 0;
}

static int take_mode(const struct davit_open *in, struct pg_options *o, struct pg_fault *f)
{
	static const struct {
		const char *word;
		enum pg_mode mode;
	} modes[] = {
		{ "cache_statement", PG_PREPARED }, { "cache_describe", PG_UNNAMED },
		{ "describe_exec", PG_UNNAMED },    { "exec", PG_UNNAMED },
		{ "simple_protocol", PG_SIMPLE },
	};
	const char *text = pg_settings_get(o, "default_query_exec_mode");
	struct davit_str s = davit_prop(in, "queryExecMode");
	size_t i;

	if (s.n == 0 && text != NULL)
		s = davit_str(text);
	for (i = 0; s.n > 0 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (davit_str_is(s, modes[i].word))
			break;
	if (i == sizeof(modes) / sizeof(modes[0])) {
		pg_fault_set(f, DAVIT_INVALID_ARGUMENT, NULL, "invalid queryExecMode metadata value: %.64s", s.p);
		return -1;
	}
	o->mode = s.n > 0 ? modes[i].mode : PG_PREPARED;
	pg_settings_drop(o, "default_query_exec_mode");
	return 0;
}

/* The i-th of a list with commas between; a list of one stands for all. */
static char *nth(const char *list, size_t i, size_t *ret_count)
{
	const char *p = list, *comma;
	char *found = NULL;
	size_t n = 0;

	for (;; p = comma + 1, n++) {
		comma = strchrnul(p, ',');
		if (n == i)
			found = strndup(p, (size_t)(comma - p));
		if (*comma == '\0')
			break;
	}
	*ret_count = n + 1;
	if (found == NULL && n == 0)
		found = strdup(list);
	return found;
}

static const char *default_host(void)
{
	static const char *const folders[] = { "/var/run/postgresql", "/private/tmp", "/tmp" };
	const char *env = getenv("PGHOST");
	char path[64];
	size_t i;

	if (env != NULL && *env != '\0')
		return env;
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/.s.PGSQL." PORT, folders[i]);
		if (access(path, F_OK) == 0)
			return folders[i];
	}
	return "localhost";
}

static const char *or_env(const char *text, const char *env, const char *fallback)
{
	if (text == NULL || *text == '\0')
		text = getenv(env);
	return text == NULL || *text == '\0' ? fallback : text;
}

static int add_host(struct pg_options *o, const char *hosts, const char *addresses, const char *ports, size_t i,
		    struct pg_fault *f)
{
	size_t nhosts, naddresses, nports;
	struct pg_host *h = &o->hosts[o->nhosts++];
	char *port = nth(ports, i, &nports);
	int number;

	h->name = nth(hosts, i, &nhosts);
	h->address = nth(addresses, i, &naddresses);
	if (port == NULL || h->name == NULL || h->address == NULL) {
		free(port);
		if (nhosts != naddresses || nports != nhosts)
			pg_fault_set(f, DAVIT_INVALID_ARGUMENT, NULL,
				     "host, hostaddr and port list different numbers of servers");
		else
			pg_fault_no_memory(f);
		return -1;
	}
	snprintf(h->port, sizeof(h->port), "%s", *port ? port : PORT);
	number = 0;
	if (strlen(port) >= sizeof(h->port) || whole(h->port, &number) < 0 || number < 1 || number > 65535) {
		invalid(f, "port", port, "port");
		free(port);
		return -1;
	}
	free(port);
	return 0;
}

static int take_hosts(struct pg_options *o, struct pg_fault *f)
{
	const char *hosts = pg_settings_get(o, "host"), *addresses = pg_settings_get(o, "hostaddr");
	const char *ports = or_env(pg_settings_get(o, "port"), "PGPORT", PORT), *p;
	size_t i, n = 1;

	addresses = or_env(addresses, "PGHOSTADDR", "");
	if (hosts == NULL || *hosts == '\0')
		hosts = *addresses ? addresses : default_host();
	for (p = hosts; *p != '\0'; p++)
		n += *p == ',';
	if (n > PG_HOSTS) {
		pg_fault_set(f, DAVIT_INVALID_ARGUMENT, NULL, "the connection string names more than %d servers",
			     PG_HOSTS);
		return -1;
	}
	for (i = 0; i < n; i++)
		if (add_host(o, hosts, addresses, ports, i, f) < 0)
			return -1;
	snprintf(o->target, sizeof(o->target), "%s",
		 or_env(pg_settings_get(o, "target_session_attrs"), "PGTARGETSESSIONATTRS", "any"));
	pg_settings_drop(o, "host");
	pg_settings_drop(o, "hostaddr");
	pg_settings_drop(o, "port");
	pg_settings_drop(o, "target_session_attrs");
	return 0;
}

/* What libpq does not know is a setting of the session: -c name=value of the setting "options". */
static int take_session(struct pg_options *o, struct pg_fault *f)
{
	PQconninfoOption *known = PQconndefaults(), *k;
	const char *given = pg_settings_get(o, "options");
	char *text = NULL;
	size_t i, n = 0;
	FILE *out = open_memstream(&text, &n);
	int rc;

	if (known == NULL || out == NULL) {
		if (out != NULL)
			fclose(out);
		PQconninfoFree(known);
		free(text);
		return pg_fault_no_memory(f), -1;
	}
	fputs(given ? given : "", out);
	for (i = 0; i < o->nsettings;) {
		const char *name = o->settings[i].name, *c;

		for (k = known; k->keyword != NULL && strcmp(k->keyword, name) != 0; k++)
			;
		if (k->keyword != NULL) {
			i++;
			continue;
		}
		fprintf(out, " -c %s=", name);
		for (c = o->settings[i].value; *c != '\0'; c++)
			fprintf(out, isspace((unsigned char)*c) || *c == '\\' ? "\\%c" : "%c", *c);
		pg_settings_drop(o, name);
	}
	PQconninfoFree(known);
	rc = fclose(out) != 0 || (n > 0 && pg_settings_set(o, "options", text, n) < 0) ? -1 : 0;
	free(text);
	return rc < 0 ? (pg_fault_no_memory(f), -1) : 0;
}

static const char *system_anchors(void)
{
	static const char *const files[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
					     "/etc/ssl/cert.pem" };
	const char *env = getenv("SSL_CERT_FILE");
	size_t i;

	if (env != NULL && *env != '\0')
		return env;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (access(files[i], R_OK) == 0)
			return files[i];
	return NULL;
}

/* Dapr's driver trusts the system's authorities where no file of others is named; libpq 15 would trust nobody. */
static int trust(struct pg_options *o, struct pg_fault *f)
{
	const char *mode = or_env(pg_settings_get(o, "sslmode"), "PGSSLMODE", ""), *home = getenv("HOME"), *anchors;
	char path[4096];

	if (strncmp(mode, "verify-", 7) != 0 ||
	    or_env(pg_settings_get(o, "sslrootcert"), "PGSSLROOTCERT", NULL) != NULL)
		return 0;
	snprintf(path, sizeof(path), "%s/.postgresql/root.crt", home ? home : "");
	anchors = access(path, R_OK) == 0 ? NULL : system_anchors();
	if (anchors != NULL && pg_settings_set(o, "sslrootcert", anchors, strlen(anchors)) < 0)
		return pg_fault_no_memory(f), -1;
	return 0;
}

static int refuse(const struct davit_open *in, const struct pg_options *o, struct pg_fault *f)
{
	static const char *const settings[] = { "service", "servicefile", "krbspn", "replication" };
	const char *with = davit_truth(davit_prop(in, "useAzureAD"))  ? "useAzureAD (Microsoft Entra ID)"
			   : davit_truth(davit_prop(in, "useAWSIAM")) ? "useAWSIAM (AWS IAM)"
								      : NULL;
	size_t i;

	if (with != NULL) {
		pg_fault_set(f, DAVIT_UNIMPLEMENTED, NULL,
			     "logging in by a token, %s, is not built yet: use a user with a password or a client "
			     "certificate",
			     with);
		return -1;
	}
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (pg_settings_get(o, settings[i]) == NULL)
			continue;
		pg_fault_set(f, DAVIT_UNIMPLEMENTED, NULL, "'%s' in the connection string is not offered here",
			     settings[i]);
		return -1;
	}
	return 0;
}

/* Text is UTF-8 whatever the server's default; tickets of Kerberos would block the loop. */
static int add_own(struct pg_options *o, struct pg_fault *f)
{
	if (pg_settings_set(o, "client_encoding", "UTF8", 4) == 0 &&
	    (pg_settings_get(o, "gssencmode") != NULL || pg_settings_set(o, "gssencmode", "disable", 7) == 0))
		return 0;
	return pg_fault_no_memory(f), -1;
}

int pg_options_read(const struct davit_open *in, struct pg_options *ret_options, struct pg_fault *f)
{
	struct davit_str s = davit_prop(in, "connectionString");
	struct pg_options *o = ret_options;

	memset(o, 0, sizeof(*o));
	if (s.n > 0 && pg_settings_parse(o, s, f) < 0)
		return -1;
	if (add_fields(in, o, s.n > 0 && strncmp(s.p, "postgres", 8) == 0, f) < 0)
		return -1;
	if (o->nsettings == 0) {
		pg_fault_set(f, DAVIT_INVALID_ARGUMENT, NULL,
			     "failed to build connection string: set connectionString, or host, user, password and "
			     "database");
		return -1;
	}
	if (refuse(in, o, f) < 0 || pg_options_span(in, "timeout", 20000, &o->timeout_ms, f) < 0)
		return -1;
	if (o->timeout_ms < 1000) {
		pg_fault_set(f, DAVIT_INVALID_ARGUMENT, NULL, "invalid value for 'timeout': must be greater than 1s");
		return -1;
	}
	return take_pool(in, o, f) < 0 || take_mode(in, o, f) < 0 || take_hosts(o, f) < 0 || trust(o, f) < 0 ||
			       take_session(o, f) < 0 || add_own(o, f) < 0
		       ? -1
		       : 0;
}

void pg_options_release(struct pg_options *o)
{
	size_t i;

	while (o->nsettings > 0)
		pg_settings_drop(o, o->settings[0].name);
	free(o->settings);
	for (i = 0; i < o->nhosts; i++) {
		free(o->hosts[i].name);
		free(o->hosts[i].address);
	}
	memset(o, 0, sizeof(*o));
}
