/* SPDX-License-Identifier: Apache-2.0 */
/* The failures of the state block, with Dapr's codes and details (facts/http-api.tsv, grpc-api.tsv). */
#ifndef BLOCKS_STATE_ERROR_H
#define BLOCKS_STATE_ERROR_H
#include "base/error.h"
#include "plugin/call.h"

struct error state_error_not_configured(struct arena *a, struct str store, struct str app_id);
struct error state_error_not_found(struct arena *a, struct str store, struct str app_id);
struct error state_error_illegal_key(struct arena *a, struct str store, struct str key);
struct error state_error_no_transactions(struct arena *a, struct str store);
struct error state_error_too_many(struct arena *a, struct str store, size_t n, size_t most);
struct error state_error_no_query(struct arena *a, struct str store);
struct error state_error_query_failed(struct arena *a, struct str store, struct str why);
struct error state_error_operation(struct arena *a, struct str operation);

/* What the store answered, in Dapr's words: an ETag's mismatch, an ETag that is none, or its own text. */
struct str state_error_text(struct arena *a, const struct answer *got);
/* A failure of the operation whose errorCode is tag; code and status follow the answer's reason. */
struct error state_error_of(struct arena *a, const struct answer *got, const char *tag, struct str message);
/* The same for a failure of the block itself: status 500. */
struct error state_error_plain(struct arena *a, const char *tag, struct str message);
/* gRPC's code where Dapr has Internal: what a client can act on (nobody answered, in time or at all) is told. */
int32_t state_error_code(const struct answer *got);
#endif
