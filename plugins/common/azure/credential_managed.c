/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed identity: the platform answers on an address that only we can reach. Two forms: virtual machines' instance metadata
 * service, and App Service's, Functions' and Container Apps' endpoint. Azure Arc, Service Fabric and Cloud Shell have others.
 * Source: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token and
 * https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
 */
#include <stdlib.h>

#include "credential_inside.h"
#include "escape.h"
#include "exchange.h"

#define IMDS_HOST "http://169.254.169.254"
#define TOKEN_MOST 65536
#define PROBE_MS 1000 /* where nothing says that we are in Azure */

struct ask {
	struct davit_str url;
	struct davit_pair field;
	int64_t timeout_ms;
};

static davit_status make(void *arg, struct davit_call *call, struct davit_http_request *q, struct azure_fault *f)
{
	const struct ask *a = arg;

	(void)call, (void)f;
	q->method = davit_str("GET");
	q->url = a->url;
	q->fields = &a->field;
	q->nfields = 1;
	q->timeout_ms = a->timeout_ms;
	q->body_limit = TOKEN_MOST;
	q->proxy = (struct davit_str){ "", 0 };
	return DAVIT_OK;
}

/* The metadata service also answers these while it starts. */
static int again(int code)
{
	return code == 404 || code == 410 || code >= 500;
}

static struct davit_str url_of(struct azure_credential *c, struct davit_call *call, const char *endpoint,
			       const char *version)
{
	struct davit_str resource = azure_escape(call, davit_str(c->resource));
	struct davit_str client = c->client == NULL ? davit_str("") : azure_escape(call, davit_str(c->client));

	if (resource.p == NULL || client.p == NULL)
		return davit_str(NULL);
	return azure_print(call, "%s?api-version=%s&resource=%s%s%s", endpoint, version, resource.p,
			   client.n ? "&client_id=" : "", client.p);
}

static davit_status ask_platform(struct azure_credential *c, struct davit_call *call, struct ask *a, int probe,
				 struct azure_got *ret, struct azure_fault *f)
{
	struct azure_exchange e = { c->instance, probe ? 0 : 5, make, a, again };
	const struct davit_http_response *r;
	davit_status status;

	if (a->url.p == NULL)
		return azure_fault_no_memory(f);
	a->timeout_ms = probe ? PROBE_MS : 30000;
	status = azure_exchange(&e, call, &r, f);
	if (status == DAVIT_CANCELLED || (status == DAVIT_DEADLINE_EXCEEDED && davit_remaining_ms(call) == 0))
		return status;
	if (status != DAVIT_OK) /* nobody there: not in Azure, or without an identity */
		return DAVIT_FAILED_PRECONDITION;
	c->quick = 0;
	if (probe && again(r->code)) { /* somebody is there, and not ready yet */
		davit_http_service(c->instance)->release(r);
		return ask_platform(c, call, a, 0, ret, f);
	}
	status = azure_read_token(r, call, "managed identity", ret, f);
	if (r->code == 400 || r->code == 403 || r->code == 404) /* no identity is assigned */
		status = DAVIT_FAILED_PRECONDITION;
	davit_http_service(c->instance)->release(r);
	return status;
}

static davit_status app_service(struct azure_credential *c, struct davit_call *call, const char *endpoint,
				const char *key, struct azure_got *ret, struct azure_fault *f)
{
	struct ask a = { .url = url_of(c, call, endpoint, "2019-08-01"),
			 .field = { davit_str("x-identity-header"), davit_str(key) } };

	return ask_platform(c, call, &a, 0, ret, f);
}

/* AZURE_POD_IDENTITY_AUTHORITY_HOST: where Kubernetes' pod identity, or a test, stands for the service, as in azure-identity. */
static davit_status instance_metadata(struct azure_credential *c, struct davit_call *call, struct azure_got *ret,
				      struct azure_fault *f)
{
	const char *host = getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST");
	struct ask a = { .field = { davit_str("metadata"), davit_str("true") } };
	struct davit_str endpoint;
	size_t n;

	if (host == NULL || host[0] == '\0')
		host = IMDS_HOST;
	for (n = strlen(host); n > 0 && host[n - 1] == '/'; n--)
		;
	endpoint = azure_print(call, "%.*s/metadata/identity/oauth2/token", (int)n, host);
	if (endpoint.p != NULL)
		a.url = url_of(c, call, endpoint.p, "2018-02-01");
	return ask_platform(c, call, &a, c->quick, ret, f);
}

static davit_status managed_get(struct azure_credential *c, struct davit_call *call, struct azure_got *ret,
				struct azure_fault *f)
{
	const char *endpoint = getenv("IDENTITY_ENDPOINT"), *key = getenv("IDENTITY_HEADER");

	if (endpoint != NULL && getenv("IDENTITY_SERVER_THUMBPRINT") == NULL && key != NULL)
		return app_service(c, call, endpoint, key, ret, f);
	if (endpoint != NULL || getenv("MSI_ENDPOINT") != NULL || getenv("IMDS_ENDPOINT") != NULL) {
		azure_fault_set(f, DAVIT_FAILED_PRECONDITION,
				"the managed identity of Azure Arc, Service Fabric and Cloud Shell is not built yet");
		return DAVIT_FAILED_PRECONDITION;
	}
	return instance_metadata(c, call, ret, f);
}

static const char *managed_lacks(const struct azure_credential *c)
{
	(void)c;
	return NULL;
}

const struct azure_way azure_way_managed = { "managedidentity", "mi", managed_lacks, managed_get };
