/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request with the retries that Azure's SDKs do: after 408, 429, 500, 502, 503, 504 and when nothing came back, waiting
 * 0.8 s, 2.4 s, 5.6 s … (each by chance a fifth less to three tenths more, at most a minute) or as long as the server asks.
 * Source: azcore's policy.RetryOptions and its retry policy.
 */
#ifndef AZURE_EXCHANGE_H
#define AZURE_EXCHANGE_H
#include <davit/http.h>

#include "fault.h"

struct azure_exchange {
	struct davit_instance *instance;
	int retries; /* beyond the first try */
	/* Fills in a try: its date and signature are its own. What it points to lives as long as the call. */
	davit_status (*make)(void *arg, struct davit_call *call, struct davit_http_request *ret_request,
			     struct azure_fault *f);
	void *arg;
	int (*again)(int code); /* further codes that are tried again; NULL: none */
};

/*
 * DAVIT_OK: the last answer, whatever its code. Else nothing came back: *f says why. Does not begin a wait that is longer than
 * what is left of the call's time: then the last answer or failure stands.
 */
davit_status azure_exchange(const struct azure_exchange *e, struct davit_call *call,
			    const struct davit_http_response **ret_response, struct azure_fault *f);
#endif
