/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage account's service at one address, and requests to it with the right to make them: signed by the account's key, by a
 * shared access signature in the URL, or with a token. Blob, Queue and Table components stand on it.
 *
 * For components with DAVIT_LOOP | DAVIT_PER_LOOP. Source: https://learn.microsoft.com/rest/api/storageservices/
 */
#ifndef AZURE_STORAGE_H
#define AZURE_STORAGE_H
#include <davit/http.h>

#include "credential.h"
#include "fault.h"
#include "shared_key.h"

#define AZURE_STORAGE_VERSION "2021-12-02" /* x-ms-version: has all that is used, and Azurite knows it */
#define AZURE_STORAGE_FIELDS 48		   /* header fields of a request, those that are added included */

struct azure_storage {
	struct davit_instance *instance;
	char *base;	  /* "https://account.blob.core.windows.net", or with a path; no slash at its end */
	const char *path; /* the part of it that is a path: "" or "/account" */
	char *account;
	char *sas; /* "sv=…&sig=…"; NULL: none */
	int has_key;
	struct azure_key key;
	struct azure_credential *credential; /* NULL: by key or signature, or nobody asks */
	int retries;
};

/*
 * From connectionString, else accountName with accountKey, else accountName with a token. service: "blob", "queue" or "table".
 * -1: *f says what is missing or wrong.
 */
int azure_storage_open(struct azure_storage *s, const struct davit_open *in, const char *service,
		       struct azure_fault *f);
void azure_storage_close(struct azure_storage *s); /* one that failed to open, too */

struct azure_storage_request {
	const char *method;
	struct davit_str path;		/* below the base, escaped, with a slash before it */
	const struct davit_pair *query; /* as struct azure_signed has it */
	size_t nquery;
	/* Names in lower case, those with "x-ms-" sorted. x-ms-date, x-ms-version and authorization are added. */
	struct davit_pair fields[AZURE_STORAGE_FIELDS];
	size_t nfields;
	struct davit_bytes body;
	uint64_t body_limit; /* of the answer; 0: DAVIT_HTTP_BODY_LIMIT */
};

/* An empty value is left out. More than fit are left out too: *f says so and -1 is returned. */
int azure_storage_field(struct azure_storage_request *q, const char *name, struct davit_str value,
			struct azure_fault *f);

/*
 * DAVIT_OK: the service did it (2xx); the answer is the call's. Else *f has the status, the service's code and what it said;
 * *ret_response is NULL.
 */
davit_status azure_storage_send(struct azure_storage *s, struct davit_call *call, const struct azure_storage_request *q,
				const struct davit_http_response **ret_response, struct azure_fault *f);
#endif
