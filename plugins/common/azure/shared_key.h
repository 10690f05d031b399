/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authorization by an account's key, as Blob, Queue and File take it from version 2015-02-21 on (before, an empty body signed a 0).
 * Source: "Authorize with Shared Key", https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
 */
#ifndef AZURE_SHARED_KEY_H
#define AZURE_SHARED_KEY_H
#include <davit/plugin.h>

struct azure_key {
	unsigned char bytes[128];
	size_t n;
};

/* 0; -1: not base64, empty, or longer than any key of Azure's. */
int azure_key_parse(struct davit_str base64, struct azure_key *ret_key);

struct azure_signed {
	const char *method;
	struct davit_str account;
	struct davit_str path;		/* of the URL as it is sent, escaped */
	const struct davit_pair *query; /* values unescaped, sorted by name, names in lower case */
	size_t nquery;
	const struct davit_pair
		*fields; /* names in lower case; those that begin with "x-ms-" sorted among themselves */
	size_t nfields;
	size_t length; /* of the body */
};

/* The text that is signed, in the call's memory; p == NULL: none left. */
struct davit_str azure_string_to_sign(struct davit_call *call, const struct azure_signed *s);
/* "SharedKey account:signature", in the call's memory; p == NULL: none left. */
struct davit_str azure_authorization(struct davit_call *call, const struct azure_signed *s,
				     const struct azure_key *key);
#endif
