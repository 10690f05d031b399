/* SPDX-License-Identifier: Apache-2.0 */
/* The failures of publishing, with Dapr's codes and details (facts/http-api.tsv, grpc-api.tsv). */
#ifndef BLOCKS_PUBSUB_ERROR_H
#define BLOCKS_PUBSUB_ERROR_H
#include <davit/plugin.h>

#include "base/error.h"

/* metadata: what the client sent, shown in the details. */
struct error pubsub_error_not_configured(struct arena *a, struct str name, const struct davit_pair *metadata, size_t n);
struct error pubsub_error_not_found(struct arena *a, struct str name, const struct davit_pair *metadata, size_t n);
struct error pubsub_error_name_empty(struct arena *a, const struct davit_pair *metadata, size_t n);
struct error pubsub_error_topic_empty(struct arena *a, struct str name, const struct davit_pair *metadata, size_t n);
struct error pubsub_error_raw_payload(struct arena *a, struct str name, struct str value,
				      const struct davit_pair *metadata, size_t n);

struct error pubsub_error_envelope(struct arena *a, struct str name, struct str app_id, struct str why);
/* An entry of a bulk whose event does not fit its content type, or that has no id of its own; a body that is none. */
struct error pubsub_error_entry_event(struct arena *a, struct str name, struct str topic, struct str app_id,
				      struct str why);
struct error pubsub_error_entry_id(struct arena *a, struct str name, struct str topic, struct str app_id);
struct error pubsub_error_entries(struct arena *a, struct str name, struct str topic, struct str app_id,
				  struct str why);

struct error pubsub_error_forbidden(struct arena *a, struct str name, struct str topic, struct str app_id);
struct error pubsub_error_outbox(struct arena *a, struct str app_id, struct str why);
struct error pubsub_error_publish(struct arena *a, struct str name, struct str topic, struct str why);
#endif
