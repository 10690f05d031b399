/* SPDX-License-Identifier: Apache-2.0 */
#ifndef API_DETAILS_JSON_H
#define API_DETAILS_JSON_H
#include <google/protobuf/any.pb-c.h>

#include "base/arena.h"
#include "base/buf.h"

/* One detail of a status; of a kind that is not google.rpc's, or is broken, only its type. Allocates in a. */
void details_json(struct arena *a, struct buf *b, const Google__Protobuf__Any *any);
#endif
