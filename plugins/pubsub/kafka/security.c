/* SPDX-License-Identifier: Apache-2.0 */
#include "security.h"

#include <davit/truth.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

enum method { NONE, PASSWORD, MTLS, CERTIFICATE, NOT_OFFERED };

struct about {
	const struct davit_open *in;
	struct davit_call *call;
	rd_kafka_conf_t *confs[2];
};

static struct davit_str prop(const struct about *a, const char *name)
{
	struct davit_str s = davit_prop(a->in, name);

	return s.p ? s : davit_str("");
}

static davit_status refuse(const struct about *a, const char *text)
{
	return davit_fail(a->call, DAVIT_INVALID_ARGUMENT, NULL, "%s", text);
}

/* librdkafka's own words may hold the value: they are left out. */
static int set(const struct about *a, const char *name, const char *value)
{
	char why[256];
	int i, failed = 0;

	for (i = 0; i < 2; i++)
		failed |= rd_kafka_conf_set(a->confs[i], name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK;
	return failed ? -1 : 0;
}

static int is_pem(struct davit_str s)
{
	const char *begin = strstr(s.p, "-----BEGIN ");

	return begin != NULL && strstr(begin, "-----END ") != NULL;
}

/* The older authRequired, where authType is not set. NULL: it is neither true nor false. */
static const char *method_name(const struct about *a)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };
	struct davit_str type = prop(a, "authType"), required = prop(a, "authRequired");
	size_t i;

	if (type.n > 0 || required.n == 0)
		return type.p;
	davit_log(a->in->instance, DAVIT_LOG_WARN, "AuthRequired is deprecated, use AuthType instead.");
	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (davit_str_is(required, yes[i]))
			return prop(a, "saslPassword").n > 0 ? "password" : "mtls";
		if (davit_str_is(required, no[i]))
			return "none";
	}
	return NULL;
}

static davit_status find_method(const struct about *a, enum method *ret_method)
{
	static const struct {
		const char *name;
		enum method method;
	} methods[] = {
		{ "none", NONE },	   { "password", PASSWORD },
		{ "mtls", MTLS },	   { "certificate", CERTIFICATE },
		{ "oidc", NOT_OFFERED },   { "oidc_private_key_jwt", NOT_OFFERED },
		{ "awsiam", NOT_OFFERED },
	};
	const char *name = method_name(a);
	size_t i;

	if (name == NULL)
		return refuse(a, "kafka error: invalid value for 'authRequired' attribute");
	if (name[0] == '\0')
		return refuse(a, "kafka error: 'authType' attribute was missing or empty");
	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcasecmp(name, methods[i].name) != 0)
			continue;
		*ret_method = methods[i].method;
		return *ret_method != NOT_OFFERED
			       ? DAVIT_OK
			       : davit_fail(a->call, DAVIT_UNIMPLEMENTED, NULL,
					    "kafka error: authType '%s' is not offered by this component yet: none, "
					    "password, mtls and certificate are",
					    methods[i].name);
	}
	return refuse(a, "kafka error: invalid value for 'authType' attribute");
}

static davit_status set_password(const struct about *a)
{
	struct davit_str mechanism = prop(a, "saslMechanism");
	const char *name = davit_str_is(mechanism, "SHA-256")	? "SCRAM-SHA-256"
			   : davit_str_is(mechanism, "SHA-512") ? "SCRAM-SHA-512"
								: "PLAIN";

	if (prop(a, "saslUsername").n == 0)
		return refuse(a, "kafka error: missing SASL Username for authType 'password'");
	if (prop(a, "saslPassword").n == 0)
		return refuse(a, "kafka error: missing SASL Password for authType 'password'");
	if (set(a, "sasl.mechanism", name) < 0 || set(a, "sasl.username", prop(a, "saslUsername").p) < 0 ||
	    set(a, "sasl.password", prop(a, "saslPassword").p) < 0)
		return refuse(a, "kafka error: the SASL user or password cannot be used");
	return DAVIT_OK;
}

/* librdkafka reads one certificate from a text, and those that lead to it only from a file. -1: no such file can be made. */
static int set_chain(const struct about *a, struct davit_str certificates, int *ret_file)
{
	int fd = memfd_create("clientCert", MFD_CLOEXEC);
	char path[64];

	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (write(fd, certificates.p, certificates.n) != (ssize_t)certificates.n ||
	    set(a, "ssl.certificate.location", path) < 0) {
		close(fd);
		return -1;
	}
	*ret_file = fd;
	return 0;
}

static int has_chain(struct davit_str certificate)
{
	const char *first = strstr(certificate.p, "-----BEGIN ");

	return first != NULL && strstr(first + 1, "-----BEGIN ") != NULL;
}

static davit_status set_certificate(const struct about *a, int tls, int *ret_file)
{
	struct davit_str certificate = prop(a, "clientCert"), key = prop(a, "clientKey");

	if (certificate.n > 0 && !is_pem(certificate))
		return refuse(a, "kafka error: invalid client certificate");
	if (key.n > 0 && !is_pem(key))
		return refuse(a, "kafka error: invalid client key");
	if ((key.n == 0) != (certificate.n == 0))
		return refuse(a, "kafka error: clientKey or clientCert is missing");
	if (!tls)
		return refuse(a, "kafka: cannot configure mTLS authentication when TLSDisable is 'true'");
	if (key.n == 0)
		return refuse(a,
			      "unable to load client certificate and key pair: clientCert and clientKey are not set");
	if (has_chain(certificate) ? set_chain(a, certificate, ret_file) < 0
				   : set(a, "ssl.certificate.pem", certificate.p) < 0)
		return refuse(a, "unable to load client certificate and key pair");
	if (set(a, "ssl.key.pem", key.p) < 0)
		return refuse(a, "unable to load client certificate and key pair");
	return DAVIT_OK;
}

static davit_status set_trust(const struct about *a)
{
	struct davit_str authority = prop(a, "caCert");

	if (authority.n > 0 && set(a, "ssl.ca.pem", authority.p) < 0)
		return refuse(a, "kafka error: unable to load ca certificate");
	if (!davit_truth(davit_prop(a->in, "skipVerify")))
		return set(a, "ssl.endpoint.identification.algorithm", "https") < 0
			       ? refuse(a, "kafka error: this librdkafka cannot check a broker's name")
			       : DAVIT_OK;
	davit_log(a->in->instance, DAVIT_LOG_INFO,
		  "kafka: you are using 'skipVerify' to skip server config verify which is unsafe!");
	return set(a, "enable.ssl.certificate.verification", "false") < 0
		       ? refuse(a, "kafka error: this librdkafka cannot leave a broker unverified")
		       : DAVIT_OK;
}

davit_status security_read(const struct davit_open *in, struct davit_call *call, rd_kafka_conf_t *producer,
			   rd_kafka_conf_t *consumer, int *ret_file)
{
	struct about a = { in, call, { producer, consumer } };
	struct davit_str authority = prop(&a, "caCert");
	enum method method = NONE;
	int disabled = davit_truth(davit_prop(in, "disableTls")), tls;
	const char *protocol;
	davit_status status;

	if (authority.n > 0 && !is_pem(authority))
		return refuse(&a, "kafka error: invalid ca certificate");
	status = find_method(&a, &method);
	if (status != DAVIT_OK)
		return status;
	if (method == CERTIFICATE && authority.n == 0)
		return refuse(&a, "missing CA certificate property 'caCert' for authType 'certificate'");
	if (disabled)
		davit_log(in->instance, DAVIT_LOG_INFO, "kafka: TLS connectivity to broker disabled");
	tls = !disabled && method != NONE;
	protocol = method == PASSWORD ? (tls ? "sasl_ssl" : "sasl_plaintext") : tls ? "ssl" : "plaintext";
	if (set(&a, "security.protocol", protocol) < 0)
		return refuse(&a, "kafka error: this librdkafka was built without TLS or SASL");
	if (method == PASSWORD)
		status = set_password(&a);
	if (status == DAVIT_OK && tls)
		status = set_trust(&a);
	if (status == DAVIT_OK && method == MTLS)
		status = set_certificate(&a, tls, ret_file);
	return status;
}
