/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <davit/duration.h>
#include <stdlib.h>
#include <strings.h>

#define PORT 6379
#define MS 1000000 /* nanoseconds */

static int complain(char why[REDIS_WHY], const char *what, const char *field, struct davit_str value)
{
	snprintf(why, REDIS_WHY, "redis client configuration error: invalid %s \"%.*s\" for %s", what,
		 (int)(value.n > 64 ? 64 : value.n), value.p, field);
	return -1;
}

static int whole(struct davit_str s, int64_t *ret_value)
{
	char *end;

	if (s.n == 0 || s.n > 20 || strspn(s.p, "+-0123456789") != s.n)
		return -1;
	*ret_value = strtoll(s.p, &end, 10);
	return *end == '\0' ? 0 : -1;
}

int redis_options_int(const struct davit_open *in, const char *field, int64_t fallback, int64_t least, int64_t most,
		      int64_t *ret_value, char why[REDIS_WHY])
{
	struct davit_str s = davit_prop(in, field);

	*ret_value = fallback;
	if (s.n == 0)
		return 0;
	if (whole(s, ret_value) < 0 || *ret_value < least || *ret_value > most)
		return complain(why, "int", field, s);
	return 0;
}

static int small(const struct davit_open *in, const char *field, int fallback, int least, int most, int *ret_value,
		 char why[REDIS_WHY])
{
	int64_t v;

	if (redis_options_int(in, field, fallback, least, most, &v, why) < 0)
		return -1;
	*ret_value = (int)v;
	return 0;
}

/* Go's strconv.ParseBool. */
static int truth(const struct davit_open *in, const char *field, int *ret_value, char why[REDIS_WHY])
{
	static const char *const words[] = { "0", "f", "F", "FALSE", "false", "False",
					     "1", "t", "T", "TRUE",  "true",  "True" };
	struct davit_str s = davit_prop(in, field);
	size_t i;

	*ret_value = 0;
	if (s.n == 0)
		return 0;
	for (i = 0; i < 12; i++) {
		if (davit_str_is(s, words[i])) {
			*ret_value = i >= 6;
			return 0;
		}
	}
	return complain(why, "bool", field, s);
}

/*
 * A whole number is milliseconds, below zero "none" whatever the unit. 0, and what is not given, is the default; the answer's
 * 0 is "no limit".
 */
static int span(const struct davit_open *in, const char *field, int64_t fallback_ms, int64_t *ret_ms,
		char why[REDIS_WHY])
{
	struct davit_str s = davit_prop(in, field);
	int64_t v = 0;

	*ret_ms = fallback_ms;
	if (s.n == 0)
		return 0;
	if (whole(s, &v) == 0) {
		if (v > INT32_MAX)
			return complain(why, "Duration", field, s);
	} else {
		if (davit_duration_parse(s, &v) < 0)
			return complain(why, "Duration", field, s);
		v = v > 0 && v < MS ? 1 : v / MS;
		if (v == 0 && s.p[0] == '-')
			v = -1;
	}
	if (v != 0)
		*ret_ms = v < 0 ? 0 : v;
	return 0;
}

int redis_address_parse(const char *p, size_t n, int port, struct redis_address *ret_address)
{
	const char *colon = memrchr(p, ':', n), *host = p;
	size_t nhost = n;

	ret_address->port = port;
	/* Two colons and no brackets: an IPv6 address without a port. */
	if (colon != NULL && (p[0] == '[' ? colon[-1] == ']' : memchr(p, ':', (size_t)(colon - p)) == NULL)) {
		int64_t number;
		char digits[8] = "";
		size_t ndigits = n - (size_t)(colon - p) - 1;

		if (ndigits >= sizeof(digits))
			return -1;
		memcpy(digits, colon + 1, ndigits);
		if (whole((struct davit_str){ digits, ndigits }, &number) < 0 || number < 1 || number > 65535)
			return -1;
		ret_address->port = (int)number;
		nhost = (size_t)(colon - p);
	}
	if (nhost >= 2 && host[0] == '[' && host[nhost - 1] == ']') {
		host++;
		nhost -= 2;
	}
	if (nhost == 0 || nhost >= REDIS_HOST)
		return -1;
	memcpy(ret_address->host, host, nhost);
	ret_address->host[nhost] = '\0';
	return 0;
}

static int add_address(struct redis_options *o, const char *p, size_t n, int port, char why[REDIS_WHY])
{
	struct redis_address *grown, a;
	size_t used = strlen(o->shown);

	while (n > 0 && *p == ' ')
		p++, n--;
	while (n > 0 && p[n - 1] == ' ')
		n--;
	if (redis_address_parse(p, n, port ? port : PORT, &a) < 0)
		return complain(why, "address", "redisHost", (struct davit_str){ p, n });
	if (port != 0 && a.port != port) {
		snprintf(why, REDIS_WHY,
			 "redis host \"%.*s\" already contains port %d, but redisPort is set to %d; either remove the "
			 "port from "
			 "redisHost or remove the redisPort setting",
			 (int)n, p, a.port, port);
		return -1;
	}
	grown = reallocarray(o->addresses, o->naddresses + 1, sizeof(*grown));
	if (grown == NULL) {
		snprintf(why, REDIS_WHY, "no memory left");
		return -1;
	}
	o->addresses = grown;
	o->addresses[o->naddresses++] = a;
	snprintf(o->shown + used, sizeof(o->shown) - used, strchr(a.host, ':') ? "%s[%s]:%d" : "%s%s:%d",
		 used ? "," : "", a.host, a.port);
	return 0;
}

static int addresses(const struct davit_open *in, struct redis_options *o, char why[REDIS_WHY])
{
	struct davit_str s = davit_prop(in, "redisHost");
	const char *at = s.p, *end = s.p + s.n, *comma;
	int port;

	if (small(in, "redisPort", 0, 0, 65535, &port, why) < 0)
		return -1;
	if (s.n == 0) {
		snprintf(why, REDIS_WHY, "redis store error: redisHost is not set");
		return -1;
	}
	for (; at <= end; at = comma + 1) {
		comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
		if (comma == NULL)
			comma = end;
		if (add_address(o, at, (size_t)(comma - at), port, why) < 0)
			return -1;
	}
	if (o->naddresses > 1 && !o->cluster && !o->failover) {
		snprintf(why, REDIS_WHY,
			 "redis client configuration error: several hosts need redisType \"cluster\" or failover");
		return -1;
	}
	return 0;
}

static int text(const struct davit_open *in, const char *field, char **ret_text, char why[REDIS_WHY])
{
	struct davit_str s = davit_prop(in, field);

	if (s.n == 0)
		return 0;
	*ret_text = strndup(s.p, s.n);
	if (*ret_text != NULL)
		return 0;
	snprintf(why, REDIS_WHY, "no memory left");
	return -1;
}

static int texts(const struct davit_open *in, struct redis_options *o, char why[REDIS_WHY])
{
	return text(in, "redisUsername", &o->username, why) < 0 || text(in, "redisPassword", &o->password, why) < 0 ||
			       text(in, "sentinelUsername", &o->sentinel_username, why) < 0 ||
			       text(in, "sentinelPassword", &o->sentinel_password, why) < 0 ||
			       text(in, "sentinelMasterName", &o->master, why) < 0 ||
			       text(in, "clientCert", &o->client_cert, why) < 0 ||
			       text(in, "clientKey", &o->client_key, why) < 0
		       ? -1
		       : 0;
}

static int timing(const struct davit_open *in, struct redis_options *o, char why[REDIS_WHY])
{
	if (span(in, "dialTimeout", 5000, &o->dial_ms, why) < 0 ||
	    span(in, "readTimeout", 3000, &o->read_ms, why) < 0 ||
	    span(in, "writeTimeout", o->read_ms, &o->write_ms, why) < 0 ||
	    span(in, "poolTimeout", o->read_ms ? o->read_ms + 1000 : 0, &o->pool_ms, why) < 0 ||
	    span(in, "maxConnAge", 0, &o->age_ms, why) < 0 || span(in, "idleTimeout", 300000, &o->idle_ms, why) < 0 ||
	    span(in, "idleCheckFrequency", 60000, &o->idle_check_ms, why) < 0 ||
	    small(in, "poolSize", 0, 0, INT32_MAX, &o->pool_size, why) < 0 ||
	    small(in, "minIdleConns", 0, 0, INT32_MAX, &o->min_idle, why) < 0)
		return -1;
	return 0;
}

/* The older names count where the newer ones are not given; maxRetryBackoff is in nanoseconds. */
static int retrying(const struct davit_open *in, struct redis_options *o, char why[REDIS_WHY])
{
	struct davit_str older = davit_prop(in, "maxRetryBackoff");
	int64_t ns = 0;

	if (small(in, "redisMaxRetries", 3, -1, 1000, &o->max_retries, why) < 0 ||
	    span(in, "redisMaxRetryInterval", 512, &o->max_backoff_ms, why) < 0 ||
	    span(in, "redisMinRetryInterval", 2000, &o->min_backoff_ms, why) < 0)
		return -1;
	if (davit_str_is(davit_prop(in, "redisMinRetryInterval"), "0"))
		o->min_backoff_ms = 8; /* of the client below Dapr's settings */
	if (o->max_retries == 0)
		o->max_retries = 3;
	if (o->max_retries < 0)
		o->max_retries = 0;
	if (davit_prop(in, "redisMinRetryInterval").n > 0 || older.n == 0)
		return 0;
	if (whole(older, &ns) < 0) {
		snprintf(why, REDIS_WHY,
			 "redis store error: can't parse maxRetryBackoff field: \"%.32s\" is not a whole number",
			 older.p);
		return -1;
	}
	o->min_backoff_ms = ns < 0 ? 0 : ns == 0 ? 8 : ns / MS;
	return 0;
}

int redis_options_read(const struct davit_open *in, struct redis_options *ret_options, char why[REDIS_WHY])
{
	struct redis_options *o = ret_options;
	struct davit_str type = davit_prop(in, "redisType");
	int token;

	memset(o, 0, sizeof(*o));
	o->cluster = type.n > 0 && strcasecmp(type.p, "cluster") == 0;
	if (type.n > 0 && !o->cluster && strcasecmp(type.p, "node") != 0) /* as in Dapr */
		davit_log(in->instance, DAVIT_LOG_WARN,
			  "redisType \"%.32s\" is neither node nor cluster: taken for one server", type.p);
	if (truth(in, "useEntraID", &token, why) < 0 || (!token && truth(in, "useOIDC", &token, why) < 0))
		return -1;
	if (token) {
		snprintf(why, REDIS_WHY,
			 "redis client configuration error: logging in with a token (useEntraID, useOIDC) is not "
			 "offered "
			 "yet: use redisUsername and redisPassword");
		return -1;
	}
	if (truth(in, "failover", &o->failover, why) < 0 || truth(in, "enableTLS", &o->tls, why) < 0 ||
	    truth(in, "insecureSkipTLSVerify", &o->insecure, why) < 0 || addresses(in, o, why) < 0 ||
	    small(in, "redisDB", 0, 0, INT32_MAX, &o->db, why) < 0 || texts(in, o, why) < 0 || timing(in, o, why) < 0 ||
	    retrying(in, o, why) < 0)
		return -1;
	if (o->failover && o->master == NULL) {
		snprintf(why, REDIS_WHY, "redis client configuration error: failover needs sentinelMasterName");
		return -1;
	}
	if (o->failover) /* the master that the sentinels name is one server */
		o->cluster = 0;
	return 0;
}

static void forget(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void redis_options_release(struct redis_options *o)
{
	free(o->addresses);
	free(o->username);
	forget(o->password);
	free(o->sentinel_username);
	forget(o->sentinel_password);
	free(o->master);
	free(o->client_cert);
	forget(o->client_key);
	memset(o, 0, sizeof(*o));
}
