/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways that ask Entra ID itself: OAuth 2.0's client credentials, with a secret, a certificate, or a token of the platform.
 * Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
 */
#include <stdlib.h>
#include <unistd.h>
#include <fcntl.h>

#include "credential_inside.h"
#include "escape.h"
#include "exchange.h"

#define ASSERTION_TYPE "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
#define RETRIES 3
#define TOKEN_MOST 65536 /* bytes of a file with a token */

struct ask {
	struct davit_str url, form;
};

static davit_status make(void *arg, struct davit_call *call, struct davit_http_request *q, struct azure_fault *f)
{
	static const struct davit_pair fields[] = {
		{ { "content-type", 12 }, { "application/x-www-form-urlencoded", 33 } },
		{ { "accept", 6 }, { "application/json", 16 } },
	};
	const struct ask *a = arg;

	(void)call, (void)f;
	q->method = davit_str("POST");
	q->url = a->url;
	q->fields = fields;
	q->nfields = 2;
	q->body = (struct davit_bytes){ a->form.p, a->form.n };
	q->timeout_ms = 30000;
	q->body_limit = TOKEN_MOST;
	return DAVIT_OK;
}

static struct davit_str token_url(const struct azure_credential *c, struct davit_call *call, const char *authority,
				  const char *tenant)
{
	struct davit_str escaped = azure_escape(call, davit_str(tenant));

	(void)c;
	return escaped.p == NULL ? escaped : azure_print(call, "%s/%s/oauth2/v2.0/token", authority, escaped.p);
}

/* proof: the form's part that shows who we are. */
static davit_status ask_entra(struct azure_credential *c, struct davit_call *call, struct davit_str url,
			      const char *client, struct davit_str proof, struct azure_got *ret, struct azure_fault *f)
{
	struct davit_str id = azure_escape(call, davit_str(client)), scope = azure_escape(call, davit_str(c->resource));
	const struct davit_http_response *r;
	struct ask a = { .url = url };
	struct azure_exchange e = { c->instance, RETRIES, make, &a, NULL };
	davit_status status;

	if (id.p == NULL || scope.p == NULL || proof.p == NULL || url.p == NULL)
		return azure_fault_no_memory(f);
	a.form = azure_print(call, "grant_type=client_credentials&client_id=%s&scope=%s%%2F.default&%s", id.p, scope.p,
			     proof.p);
	if (a.form.p == NULL)
		return azure_fault_no_memory(f);
	status = azure_exchange(&e, call, &r, f);
	if (status != DAVIT_OK)
		return status == DAVIT_FAILED_PRECONDITION ? DAVIT_UNAVAILABLE : status;
	status = azure_read_token(r, call, "Microsoft Entra ID", ret, f);
	davit_http_service(c->instance)->release(r);
	return status;
}

static const char *secret_lacks(const struct azure_credential *c)
{
	return c->tenant && c->client && c->secret
		       ? NULL
		       : "parameters clientId, clientSecret, and tenantId must all be present";
}

static davit_status secret_get(struct azure_credential *c, struct davit_call *call, struct azure_got *ret,
			       struct azure_fault *f)
{
	struct davit_str secret = azure_escape(call, davit_str(c->secret));
	struct davit_str proof = secret.p == NULL ? secret : azure_print(call, "client_secret=%s", secret.p);

	return ask_entra(c, call, token_url(c, call, c->authority, c->tenant), c->client, proof, ret, f);
}

const struct azure_way azure_way_secret = { "clientcredentials", "creds", secret_lacks, secret_get };

static struct davit_str with_assertion(struct davit_call *call, struct davit_str assertion)
{
	return assertion.p == NULL
		       ? assertion
		       : azure_print(call, "client_assertion_type=%s&client_assertion=%s", ASSERTION_TYPE, assertion.p);
}

static const char *certificate_lacks(const struct azure_credential *c)
{
	if (c->certificate == NULL)
		return "missing client certificate";
	return c->tenant && c->client ? NULL : "parameters clientId and tenantId must be present";
}

static davit_status certificate_get(struct azure_credential *c, struct davit_call *call, struct azure_got *ret,
				    struct azure_fault *f)
{
	struct davit_str url = token_url(c, call, c->authority, c->tenant), assertion;

	if (url.p == NULL)
		return azure_fault_no_memory(f);
	assertion = azure_assertion(c->certificate, call, davit_str(c->client), url, f);
	if (assertion.p == NULL)
		return f->status;
	return ask_entra(c, call, url, c->client, with_assertion(call, assertion), ret, f);
}

const struct azure_way azure_way_certificate = { "clientcertificate", "cert", certificate_lacks, certificate_get };

/* Kubernetes' workload identity: its webhook sets these and writes the token, which changes about once an hour. */

static const char *workload_lacks(const struct azure_credential *c)
{
	(void)c;
	if (getenv("AZURE_CLIENT_ID") == NULL || getenv("AZURE_TENANT_ID") == NULL ||
	    getenv("AZURE_FEDERATED_TOKEN_FILE") == NULL)
		return "AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE must all be set in the "
		       "environment";
	return NULL;
}

static struct davit_str read_token_file(struct davit_call *call, struct azure_fault *f)
{
	const char *path = getenv("AZURE_FEDERATED_TOKEN_FILE");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = davit_alloc(call, TOKEN_MOST);
	ssize_t n = fd < 0 || text == NULL ? -1 : read(fd, text, TOKEN_MOST - 1);

	if (n < 0)
		azure_fault_set(f, DAVIT_UNAUTHENTICATED, "AZURE_FEDERATED_TOKEN_FILE, %s, cannot be read: %m", path);
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return davit_str(NULL);
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
		n--;
	text[n] = '\0';
	return (struct davit_str){ text, (size_t)n };
}

static davit_status workload_get(struct azure_credential *c, struct davit_call *call, struct azure_got *ret,
				 struct azure_fault *f)
{
	struct davit_str assertion = read_token_file(call, f);

	if (assertion.p == NULL)
		return f->status;
	assertion = azure_escape(call, assertion);
	return ask_entra(c, call, token_url(c, call, c->authority, getenv("AZURE_TENANT_ID")),
			 getenv("AZURE_CLIENT_ID"), with_assertion(call, assertion), ret, f);
}

const struct azure_way azure_way_workload = { "workloadidentity", "wi", workload_lacks, workload_get };

static const char *spiffe_lacks(const struct azure_credential *c)
{
	(void)c;
	return "SPIFFE identities of the sidecar are not built yet";
}

static davit_status never(struct azure_credential *c, struct davit_call *call, struct azure_got *ret,
			  struct azure_fault *f)
{
	(void)c, (void)call, (void)ret;
	return azure_fault_set(f, DAVIT_UNIMPLEMENTED, "not built");
}

const struct azure_way azure_way_spiffe = { "spiffeworkloadidentity", "spiffe", spiffe_lacks, never };

static const char *cli_lacks(const struct azure_credential *c)
{
	(void)c;
	return "the sidecar starts no programs of a person's shell; log in with a client secret or certificate instead";
}

const struct azure_way azure_way_cli = { "commandlineinterface", "cli", cli_lacks, never };
