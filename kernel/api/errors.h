/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where a struct error becomes Dapr's JSON or gRPC's status. */
#ifndef API_ERRORS_H
#define API_ERRORS_H
#include "base/error.h"

int errors_http(struct arena *a, const struct error *e, struct str *ret_body); /* the status */
const char *errors_code(const struct error *e); /* Dapr's errorCode: the tag, else the reason of its ErrorInfo */
/* google.rpc.Status with the details, packed; an empty str when there are none. The form that grpc_options wants. */
struct str errors_grpc(struct arena *a, const struct error *e);
#endif
