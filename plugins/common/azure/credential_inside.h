/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways to a token share. For plugins/common/azure alone. */
#ifndef AZURE_CREDENTIAL_INSIDE_H
#define AZURE_CREDENTIAL_INSIDE_H
#include <davit/fiber.h>
#include <davit/http.h>

#include "assertion.h"
#include "cloud.h"
#include "credential.h"

struct azure_way;

#define AZURE_WAYS 6

struct azure_credential {
	struct davit_instance *instance;
	const char *resource;
	char *authority;		/* "https://login.microsoftonline.com" */
	char *tenant, *client, *secret; /* NULL: not given */
	struct azure_certificate *certificate;
	const struct azure_way *ways[AZURE_WAYS];
	size_t nways;
	const struct azure_way *worked; /* the one that gave a token: it alone is asked from then on */
	int quick;			/* managed identity has a second to answer, until it has */

	char *token;		      /* NULL: none */
	int64_t renew_ms, expires_ms; /* steady clock */
	struct davit_fiber *fetching; /* who is at it; NULL: nobody */
	struct waiting *waiting;
};

/* A token as it came, in the call's memory. */
struct azure_got {
	struct davit_str token;
	int64_t lifetime_s;
};

/* DAVIT_FAILED_PRECONDITION: this way is not open here, the next one is tried. */
struct azure_way {
	const char *name, *alias; /* as azureAuthMethods calls it, in lower case */
	/* What it lacks, for a person; NULL: nothing. */
	const char *(*lacks)(const struct azure_credential *c);
	davit_status (*get)(struct azure_credential *c, struct davit_call *call, struct azure_got *ret,
			    struct azure_fault *f);
};

extern const struct azure_way azure_way_secret, azure_way_certificate, azure_way_workload, azure_way_spiffe,
	azure_way_managed, azure_way_cli;

/* The answer of a token endpoint. timeout: seconds are in expires_in, or a moment is in expires_on. */
davit_status azure_read_token(const struct davit_http_response *r, struct davit_call *call, const char *who,
			      struct azure_got *ret, struct azure_fault *f);
#endif
