/* SPDX-License-Identifier: Apache-2.0 */
/* How a call to a component ended, and what its details mean in Dapr's protocol. For pluggable/ alone. */
#ifndef PLUGGABLE_STATUS_H
#define PLUGGABLE_STATUS_H
#include "base/error.h"

struct status {
	int code;	    /* gRPC's */
	struct str message; /* of the component, or why it could not be asked */
	struct str details; /* google.rpc.Status as it came, in base64; empty: none */
	int said;	    /* by the component; else it was not reached, or did not answer */
};

/* All in the arena, which may jump. */
struct str status_text(struct arena *a, const struct status *s); /* "rpc error: code = DataLoss desc = …" */
/*
 * As struct answer shall carry it. An ErrorInfo marked kit_error is one of Dapr's own errors: it
 * has an HTTP status, an error code and a detail (http != 0). Else only code and message are told.
 */
struct error *status_error(struct arena *a, const struct status *s);
/* "ETAG_MISMATCH", "ETAG_INVALID" and in *ret_why the component's words; NULL: it is no matter of ETags. */
const char *status_etag(struct arena *a, const struct status *s, struct str *ret_why);
/* 1: a bulk delete found other rows than it should. */
int status_rows(struct arena *a, const struct status *s, int64_t *ret_expected, int64_t *ret_affected);
#endif
