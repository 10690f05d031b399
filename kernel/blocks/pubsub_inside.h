/* SPDX-License-Identifier: Apache-2.0 */
/* What publishing one and publishing many share; nobody else includes it. */
#ifndef BLOCKS_PUBSUB_INSIDE_H
#define BLOCKS_PUBSUB_INSIDE_H
#include "blocks/pubsub.h"
#include "plugin/call.h"

/* data in place of the event's; topic as the broker names it. */
const struct davit_publish *pubsub_record(struct arena *a, const struct pubsub *p, struct str topic, struct str data,
					  const struct pubsub_event *e);
/* http: see struct pubsub_request. */
struct answer pubsub_send_record(struct scope *s, const struct pubsub *p, const struct davit_publish *in, int http);
/* Of a broker's failure, for a policy to look at. */
int pubsub_code(const struct answer *got, int http);
struct str pubsub_why(const struct answer *got); /* of a failed answer, never "" */
struct error pubsub_envelope(const struct blocks *b, struct arena *a, const struct pubsub *p,
			     const struct pubsub_request *r, const struct pubsub_event *event,
			     const struct trace_context *trace, struct str *ret_data);
#endif
