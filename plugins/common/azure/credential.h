/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of Microsoft Entra ID for one resource: which ways to get them a component's metadata and the environment offer, in
 * Dapr's order or in that of azureAuthMethods, and the token in hand until it has to be renewed.
 *
 * For components with DAVIT_LOOP | DAVIT_PER_LOOP: a credential belongs to its loop. Operations that need a token while it is
 * being fetched wait for the one that fetches.
 *
 * The Azure CLI is not among the ways: it would have the sidecar start a program of a person's shell, with that person's
 * rights, in every call's path. Source: Dapr's "Authenticating to Azure"; azidentity.
 */
#ifndef AZURE_CREDENTIAL_H
#define AZURE_CREDENTIAL_H
#include <davit/plugin.h>

#include "fault.h"

struct azure_credential;

/* resource: such as "https://storage.azure.com", a text that stays. NULL: *f says what is missing. */
struct azure_credential *azure_credential_new(const struct davit_open *in, const char *resource, struct azure_fault *f);
void azure_credential_free(struct azure_credential *c); /* nobody is in it; NULL is fine */

/* The value of Authorization, "Bearer …", in the call's memory. */
davit_status azure_token(struct azure_credential *c, struct davit_call *call, struct davit_str *ret_bearer,
			 struct azure_fault *f);
/* The service has refused the token in hand (401): the next one is fetched anew. */
void azure_token_refused(struct azure_credential *c);

/* The cloud that azureEnvironment names. NULL: *f. */
const struct azure_cloud *azure_cloud_wanted(const struct davit_open *in, struct azure_fault *f);
#endif
