/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's certificate and the assertions signed with it. Source: "Microsoft identity platform application authentication
 * certificate credentials", https://learn.microsoft.com/entra/identity-platform/certificate-credentials; RFC 7523.
 */
#ifndef AZURE_ASSERTION_H
#define AZURE_ASSERTION_H
#include <davit/plugin.h>

#include "fault.h"

struct azure_certificate;

/* From a PKCS#12 bundle with its password, or from PEM with the certificate and an RSA key. NULL: *f says what is wrong. */
struct azure_certificate *azure_certificate_new(struct davit_bytes data, struct davit_str password,
						struct azure_fault *f);
void azure_certificate_free(struct azure_certificate *c); /* NULL is fine */

/* A signed statement that we are client_id, good for ten minutes at this audience; in the call's memory. p == NULL: *f. */
struct davit_str azure_assertion(const struct azure_certificate *c, struct davit_call *call, struct davit_str client_id,
				 struct davit_str audience, struct azure_fault *f);
#endif
