/* SPDX-License-Identifier: Apache-2.0 */
/* Which ways there are, and the token in hand. */
#include "credential.h"

#include <ctype.h>
#include <davit/json.h>
#include <jansson.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "credential_inside.h"
#include "escape.h"

#define EARLY_S 300	  /* a token is renewed so long before it ends */
#define AGAIN_MS 30000	  /* until the next try after a renewal failed while the old token is still good */
#define FILE_MOST 1048576 /* bytes of a certificate */

struct waiting {
	struct waiting *next;
	struct davit_fiber *fiber;
};

static const struct azure_way *const every_way[AZURE_WAYS] = { &azure_way_secret,   &azure_way_certificate,
							       &azure_way_workload, &azure_way_spiffe,
							       &azure_way_managed,  &azure_way_cli };

static int64_t steady_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* ---- What there is ---- */

const struct azure_cloud *azure_cloud_wanted(const struct davit_open *in, struct azure_fault *f)
{
	struct davit_str name = davit_prop(in, "azureEnvironment");
	const struct azure_cloud *cloud = azure_cloud_of(name);

	if (cloud == NULL)
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT, "invalid Azure cloud: %.*s", name.n > 64 ? 64 : (int)name.n,
				name.p);
	return cloud;
}

static int copy(struct davit_str s, char **ret)
{
	if (s.n == 0)
		return 0;
	*ret = strndup(s.p, s.n);
	return *ret == NULL ? -1 : 0;
}

/* A cloud that was named wins over the environment, as in Azure's SDKs. */
static int find_authority(struct azure_credential *c, const struct davit_open *in, struct azure_fault *f)
{
	const struct azure_cloud *cloud = azure_cloud_wanted(in, f);
	const char *host = getenv("AZURE_AUTHORITY_HOST");
	size_t n;

	if (cloud == NULL)
		return -1;
	if (davit_prop(in, "azureEnvironment").n > 0 || host == NULL || host[0] == '\0')
		host = cloud->authority;
	if (strncasecmp(host, "https://", 8) != 0) {
		azure_fault_set(f, DAVIT_INVALID_ARGUMENT,
				"AZURE_AUTHORITY_HOST must begin with https://, since secrets are sent to it");
		return -1;
	}
	n = strlen(host);
	while (n > 8 && host[n - 1] == '/')
		n--;
	c->authority = strndup(host, n);
	if (c->authority == NULL) {
		azure_fault_no_memory(f);
		return -1;
	}
	return 0;
}

static int read_certificate(struct azure_credential *c, const struct davit_open *in, struct azure_fault *f)
{
	struct davit_str path = davit_prop(in, "azureCertificateFile"), text = davit_prop(in, "azureCertificate");
	struct davit_bytes data = { text.p, text.n };
	char *bytes = NULL;
	FILE *file;

	if (path.n > 0) {
		file = fopen(path.p, "rbe");
		bytes = malloc(FILE_MOST);
		if (file == NULL || bytes == NULL) {
			azure_fault_set(f, DAVIT_INVALID_ARGUMENT, "failed to read the certificate file (%s): %m",
					path.p);
			if (file != NULL)
				fclose(file);
			free(bytes);
			return -1;
		}
		data = (struct davit_bytes){ bytes, fread(bytes, 1, FILE_MOST, file) };
		fclose(file);
	}
	if (data.n > 0)
		c->certificate = azure_certificate_new(data, davit_prop(in, "azureCertificatePassword"), f);
	free(bytes);
	return data.n > 0 && c->certificate == NULL ? -1 : 0;
}

/* ---- Which ways ---- */

static int same_word(struct davit_str s, const char *word)
{
	return word != NULL && s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static struct davit_str trimmed(struct davit_str s)
{
	while (s.n > 0 && isspace((unsigned char)s.p[0]))
		s.p++, s.n--;
	while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
		s.n--;
	return s;
}

/* As azureAuthMethods lists them; each once. */
static int listed_ways(struct azure_credential *c, struct davit_str list, struct azure_fault *f)
{
	const char *comma;
	struct davit_str word;
	size_t i, k;

	while (list.n > 0) {
		comma = memchr(list.p, ',', list.n);
		word = trimmed((struct davit_str){ list.p, comma == NULL ? list.n : (size_t)(comma - list.p) });
		list.n -= comma == NULL ? list.n : (size_t)(comma + 1 - list.p);
		list.p = comma == NULL ? list.p : comma + 1;
		if (same_word(word, "none")) {
			azure_fault_set(f, DAVIT_INVALID_ARGUMENT,
					"all Azure auth methods have been disabled with auth method 'None'");
			return -1;
		}
		for (i = 0; i < AZURE_WAYS; i++)
			if (same_word(word, every_way[i]->name) || same_word(word, every_way[i]->alias))
				break;
		if (i == AZURE_WAYS) {
			azure_fault_set(f, DAVIT_INVALID_ARGUMENT, "invalid Azure auth method: %.*s",
					word.n > 64 ? 64 : (int)word.n, word.p);
			return -1;
		}
		for (k = 0; k < c->nways && c->ways[k] != every_way[i]; k++)
			;
		if (k == c->nways)
			c->ways[c->nways++] = every_way[i];
	}
	return 0;
}

/* Those that have what they need stay. */
static int usable_ways(struct azure_credential *c, struct azure_fault *f)
{
	const char *lacks;
	size_t i, n = 0, at;

	azure_fault_set(f, DAVIT_INVALID_ARGUMENT, "no suitable token provider for Azure AD");
	for (i = 0; i < c->nways; i++) {
		lacks = c->ways[i]->lacks(c);
		if (lacks == NULL) {
			c->ways[n++] = c->ways[i];
			continue;
		}
		at = strlen(f->text);
		snprintf(f->text + at, sizeof(f->text) - at, "; %s: %s", c->ways[i]->name, lacks);
	}
	c->nways = n;
	return n > 0 ? 0 : -1;
}

static int set_up(struct azure_credential *c, const struct davit_open *in, struct azure_fault *f)
{
	struct davit_str list = davit_prop(in, "azureAuthMethods");

	if (find_authority(c, in, f) < 0)
		return -1;
	if (copy(davit_prop(in, "azureTenantId"), &c->tenant) < 0 ||
	    copy(davit_prop(in, "azureClientId"), &c->client) < 0 ||
	    copy(davit_prop(in, "azureClientSecret"), &c->secret) < 0) {
		azure_fault_no_memory(f);
		return -1;
	}
	if (read_certificate(c, in, f) < 0)
		return -1;
	if (trimmed(list).n > 0) {
		if (listed_ways(c, list, f) < 0)
			return -1;
	} else {
		memcpy(c->ways, every_way, sizeof(every_way));
		c->nways = AZURE_WAYS - 1; /* no Azure CLI */
	}
	return usable_ways(c, f);
}

struct azure_credential *azure_credential_new(const struct davit_open *in, const char *resource, struct azure_fault *f)
{
	struct azure_credential *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		azure_fault_no_memory(f);
		return NULL;
	}
	c->instance = in->instance;
	c->resource = resource;
	c->quick = getenv("IDENTITY_ENDPOINT") == NULL && getenv("MSI_ENDPOINT") == NULL &&
		   getenv("IMDS_ENDPOINT") == NULL;
	if (set_up(c, in, f) < 0) {
		azure_credential_free(c);
		return NULL;
	}
	return c;
}

static void forget(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void azure_credential_free(struct azure_credential *c)
{
	if (c == NULL)
		return;
	free(c->authority);
	free(c->tenant);
	free(c->client);
	forget(c->secret);
	forget(c->token);
	azure_certificate_free(c->certificate);
	free(c);
}

/* ---- The token ---- */

static int64_t whole(json_t *v)
{
	if (json_is_integer(v))
		return json_integer_value(v);
	return json_is_string(v) ? strtoll(json_string_value(v), NULL, 10) : -1;
}

static struct davit_str kept(struct davit_call *call, json_t *v)
{
	return json_is_string(v) ? azure_print(call, "%s", json_string_value(v)) : davit_str(NULL);
}

static davit_status refused(const struct davit_http_response *r, json_t *body, const char *who, struct azure_fault *f)
{
	const char *error = json_string_value(json_object_get(body, "error"));
	const char *text = json_string_value(json_object_get(body, "error_description"));
	davit_status status = r->code == 429 || r->code >= 500 ? DAVIT_UNAVAILABLE : DAVIT_UNAUTHENTICATED;

	return azure_fault_set(f, status, "%s refused a token with %d%s%.64s%s%.600s", who, r->code, error ? " " : "",
			       error ? error : "", text ? ": " : "", text ? text : "");
}

davit_status azure_read_token(const struct davit_http_response *r, struct davit_call *call, const char *who,
			      struct azure_got *ret, struct azure_fault *f)
{
	json_t *body = davit_json_depth(r->body.p, r->body.n) > 16 ? NULL : json_loadb(r->body.p, r->body.n, 0, NULL);
	davit_status status = DAVIT_OK;
	int64_t on;

	if (r->code != 200) {
		status = refused(r, body, who, f);
	} else {
		ret->token = kept(call, json_object_get(body, "access_token"));
		ret->lifetime_s = whole(json_object_get(body, "expires_in"));
		on = whole(json_object_get(body, "expires_on"));
		if (ret->lifetime_s < 0 && on > 0)
			ret->lifetime_s = on - (int64_t)time(NULL);
		if (ret->token.n == 0 || ret->lifetime_s <= 0)
			status = azure_fault_set(f, DAVIT_INTERNAL, "%s answered 200, but with no token in it", who);
	}
	json_decref(body);
	return status;
}

static davit_status fetch(struct azure_credential *c, struct davit_call *call, struct azure_got *ret,
			  struct azure_fault *f)
{
	davit_status status = DAVIT_FAILED_PRECONDITION;
	char all[sizeof(f->text)] = "";
	size_t i, n = 0;

	if (c->worked != NULL)
		return c->worked->get(c, call, ret, f);
	for (i = 0; i < c->nways && status == DAVIT_FAILED_PRECONDITION; i++) {
		status = c->ways[i]->get(c, call, ret, f);
		if (status == DAVIT_OK)
			c->worked = c->ways[i];
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s: %.300s", n > 0 ? "; " : "", c->ways[i]->name,
				      f->text);
		n = n < sizeof(all) ? n : sizeof(all) - 1;
	}
	if (status == DAVIT_FAILED_PRECONDITION)
		return azure_fault_set(f, DAVIT_UNAUTHENTICATED, "no way to a token worked: %.800s", all);
	return status;
}

/* The next in line looks whether there is a token now, or goes to fetch it. */
static void wake_waiting(struct azure_credential *c)
{
	const struct davit_fiber_service *fiber = davit_fiber_service(c->instance);
	struct waiting *w;

	for (w = c->waiting; w != NULL; w = w->next)
		fiber->wake(w->fiber);
}

static davit_status renew(struct azure_credential *c, struct davit_call *call, struct azure_fault *f)
{
	struct azure_got got = { 0 };
	int64_t begin = steady_ms(), early;
	davit_status status;
	char *token = NULL;

	c->fetching = davit_fiber_service(c->instance)->self(c->instance);
	status = fetch(c, call, &got, f);
	c->fetching = NULL;
	if (status == DAVIT_OK && (token = strndup(got.token.p, got.token.n)) == NULL)
		status = azure_fault_no_memory(f);
	if (status == DAVIT_OK) {
		forget(c->token);
		c->token = token;
		early = got.lifetime_s > 2 * EARLY_S ? EARLY_S : got.lifetime_s / 10;
		c->expires_ms = begin + got.lifetime_s * 1000;
		c->renew_ms = c->expires_ms - early * 1000;
	} else {
		c->renew_ms = steady_ms() + AGAIN_MS;
	}
	wake_waiting(c);
	return status;
}

static davit_status wait_for_other(struct azure_credential *c, struct davit_call *call, struct azure_fault *f)
{
	const struct davit_fiber_service *fiber = davit_fiber_service(c->instance);
	struct waiting me = { c->waiting, fiber->self(c->instance) }, **at;
	davit_status status;

	c->waiting = &me;
	status = fiber->park(c->instance, call, 0);
	for (at = &c->waiting; *at != &me; at = &(*at)->next)
		;
	*at = me.next;
	return status == DAVIT_OK ? DAVIT_OK : azure_fault_set(f, status, "the call ended while a token was fetched");
}

davit_status azure_token(struct azure_credential *c, struct davit_call *call, struct davit_str *ret_bearer,
			 struct azure_fault *f)
{
	davit_status status = DAVIT_OK;
	int good;

	for (;;) {
		good = c->token != NULL && steady_ms() < c->expires_ms;
		if (good && (steady_ms() < c->renew_ms || c->fetching != NULL))
			break;
		if (c->fetching != NULL) {
			status = wait_for_other(c, call, f);
			if (status != DAVIT_OK)
				return status;
			continue;
		}
		status = renew(c, call, f);
		if (status != DAVIT_OK && !(c->token != NULL && steady_ms() < c->expires_ms))
			return status;
	}
	*ret_bearer = azure_print(call, "Bearer %s", c->token);
	return ret_bearer->p == NULL ? azure_fault_no_memory(f) : DAVIT_OK;
}

void azure_token_refused(struct azure_credential *c)
{
	forget(c->token);
	c->token = NULL;
}
