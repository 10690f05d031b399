/* SPDX-License-Identifier: Apache-2.0 */
/* Which account, at which address, by which right: connection strings and properties. */
#include <stdlib.h>
#include <strings.h>

#include "cloud.h"
#include "storage.h"

#define RESOURCE "https://storage.azure.com"

/* Azurite's and the old emulator's, the same for everybody: https://learn.microsoft.com/azure/storage/common/storage-use-azurite */
#define EMULATOR_ACCOUNT "devstoreaccount1"
#define EMULATOR_KEY "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

static int print(char **ret, struct azure_fault *f, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(ret, fmt, ap);
	va_end(ap);
	if (n < 0) {
		*ret = NULL;
		azure_fault_no_memory(f);
	}
	return n < 0 ? -1 : 0;
}

/* A value of "Name=value;Name=value": names in any case; values may hold '='. */
static struct davit_str part(struct davit_str s, const char *name)
{
	const char *end, *equals;
	struct davit_str piece;

	while (s.n > 0) {
		end = memchr(s.p, ';', s.n);
		piece = (struct davit_str){ s.p, end == NULL ? s.n : (size_t)(end - s.p) };
		s.n -= end == NULL ? s.n : piece.n + 1;
		s.p += end == NULL ? piece.n : piece.n + 1;
		while (piece.n > 0 && piece.p[0] == ' ')
			piece.p++, piece.n--;
		equals = memchr(piece.p, '=', piece.n);
		if (equals != NULL && (size_t)(equals - piece.p) == strlen(name) &&
		    strncasecmp(piece.p, name, strlen(name)) == 0)
			return (struct davit_str){ equals + 1, (size_t)(piece.p + piece.n - equals - 1) };
	}
	return davit_str(NULL);
}

/* Takes an address, without slashes at its end, and looks where its path begins. */
static int take_base(struct azure_storage *s, struct davit_str url, struct azure_fault *f)
{
	const char *host;

	while (url.n > 0 && url.p[url.n - 1] == '/')
		url.n--;
	if (url.n < 9 || (strncasecmp(url.p, "http://", 7) != 0 && strncasecmp(url.p, "https://", 8) != 0) ||
	    memchr(url.p, '?', url.n) != NULL) {
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT,
				"%.*s is not an endpoint: it must be http:// or https:// with a host",
				url.n > 200 ? 200 : (int)url.n, url.p);
		return -1;
	}
	if (print(&s->base, f, "%.*s", (int)url.n, url.p) < 0)
		return -1;
	host = strstr(s->base, "://") + 3;
	s->path = strchr(host, '/');
	if (s->path == NULL)
		s->path = host + strlen(host);
	return 0;
}

static int take_account(struct azure_storage *s, struct davit_str name, struct davit_str key, struct azure_fault *f)
{
	if (print(&s->account, f, "%.*s", (int)name.n, name.p) < 0)
		return -1;
	if (key.n == 0)
		return 0;
	if (azure_key_parse(key, &s->key) < 0) {
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT,
				"invalid shared key credentials: the account key is not base64");
		return -1;
	}
	s->has_key = 1;
	return 0;
}

static int made_base(struct azure_storage *s, struct davit_str protocol, struct davit_str suffix, const char *service,
		     struct azure_fault *f)
{
	struct davit_str url;
	char *text;
	int rc;

	if (print(&text, f, "%.*s://%s.%s.%.*s", (int)protocol.n, protocol.p, s->account, service, (int)suffix.n,
		  suffix.p) < 0)
		return -1;
	url = davit_str(text);
	rc = take_base(s, url, f);
	free(text);
	return rc;
}

static int from_emulator(struct azure_storage *s, const char *service, struct azure_fault *f)
{
	int port = strcmp(service, "blob") == 0 ? 10000 : strcmp(service, "queue") == 0 ? 10001 : 10002;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/" EMULATOR_ACCOUNT, port);
	return take_account(s, davit_str(EMULATOR_ACCOUNT), davit_str(EMULATOR_KEY), f) < 0
		       ? -1
		       : take_base(s, davit_str(url), f);
}

/* https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string */
static int from_string(struct azure_storage *s, struct davit_str text, const char *service, struct azure_fault *f)
{
	struct davit_str account = part(text, "AccountName"), key = part(text, "AccountKey"),
			 sas = part(text, "SharedAccessSignature"), endpoint, protocol, suffix;
	char name[32];

	if (davit_str_is(part(text, "UseDevelopmentStorage"), "true"))
		return from_emulator(s, service, f);
	snprintf(name, sizeof(name), "%c%sEndpoint", service[0] - 'a' + 'A', service + 1);
	endpoint = part(text, name);
	if (account.n == 0 && (sas.n == 0 || endpoint.n == 0)) {
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT,
				"connection string has neither AccountName nor %s with SharedAccessSignature", name);
		return -1;
	}
	if (key.n == 0 && sas.n == 0) {
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT,
				"connection string has neither AccountKey nor SharedAccessSignature");
		return -1;
	}
	if (take_account(s, account, key, f) < 0)
		return -1;
	if (sas.n > 0 && sas.p[0] == '?')
		sas.p++, sas.n--;
	if (key.n == 0 && print(&s->sas, f, "%.*s", (int)sas.n, sas.p) < 0)
		return -1;
	if (endpoint.n > 0)
		return take_base(s, endpoint, f);
	protocol = part(text, "DefaultEndpointsProtocol");
	suffix = part(text, "EndpointSuffix");
	return made_base(s, protocol.n ? protocol : davit_str("https"),
			 suffix.n ? suffix : davit_str("core.windows.net"), service, f);
}

/* A custom endpoint has the account behind it, as emulators do; one that is Azure's own is that. */
static int from_properties(struct azure_storage *s, const struct davit_open *in, const char *service,
			   struct azure_fault *f)
{
	struct davit_str account = davit_prop(in, "accountName"), endpoint = davit_prop(in, "endpoint");
	const struct azure_cloud *cloud = azure_cloud_wanted(in, f);
	char *own, *url;
	int rc;

	if (cloud == NULL || take_account(s, account, davit_prop(in, "accountKey"), f) < 0 ||
	    made_base(s, davit_str("https"), davit_str(cloud->storage), service, f) < 0)
		return -1;
	while (endpoint.n > 0 && endpoint.p[endpoint.n - 1] == '/')
		endpoint.n--;
	if (endpoint.n > 0 && !davit_str_is(endpoint, s->base)) {
		own = s->base;
		s->base = NULL;
		free(own);
		if (print(&url, f, "%.*s/%s", (int)endpoint.n, endpoint.p, s->account) < 0)
			return -1;
		rc = take_base(s, davit_str(url), f);
		free(url);
		if (rc < 0)
			return -1;
	}
	if (!s->has_key)
		s->credential = azure_credential_new(in, RESOURCE, f);
	return s->has_key || s->credential != NULL ? 0 : -1;
}

int azure_storage_open(struct azure_storage *s, const struct davit_open *in, const char *service, struct azure_fault *f)
{
	struct davit_str text = davit_prop(in, "connectionString");

	*s = (struct azure_storage){ .instance = in->instance, .path = "" };
	if (davit_http_service(in->instance) == NULL) {
		azure_fault_set(f, DAVIT_UNIMPLEMENTED, "this kernel does not offer " DAVIT_HTTP);
		return -1;
	}
	if (text.n > 0)
		return from_string(s, text, service, f);
	if (davit_prop(in, "accountName").n == 0) {
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT, "missing or empty accountName field from metadata");
		return -1;
	}
	return from_properties(s, in, service, f);
}

void azure_storage_close(struct azure_storage *s)
{
	azure_credential_free(s->credential);
	free(s->base);
	free(s->account);
	if (s->sas != NULL)
		explicit_bzero(s->sas, strlen(s->sas));
	free(s->sas);
	explicit_bzero(&s->key, sizeof(s->key));
	*s = (struct azure_storage){ .path = "" };
}
