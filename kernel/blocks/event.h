/* SPDX-License-Identifier: Apache-2.0 */
/* A broker's message as the event that it carries: an envelope, a CloudEvent in binary mode, or a raw payload that gets one. */
#ifndef BLOCKS_EVENT_H
#define BLOCKS_EVENT_H
#include <davit/pubsub.h>

#include "app/topic_event.h"

/*
 * Everything but path; in arena a, or borrowed from the message, which must live as long. topic: as the application names
 * it. raw: the subscription's rawPayload. 0; -1: *ret_why says why this is no event; its metadata is set all the same.
 */
int event_read(struct arena *a, const struct davit_message *m, struct str pubsub, struct str topic, int raw,
	       struct topic_event *ret, struct str *ret_why);

/* An envelope alone: json, well-formed or not, into ret->json and ret->is. */
int event_read_json(struct arena *a, struct str json, struct topic_event *ret, struct str *ret_why);

int event_expired(struct arena *a, const struct topic_event *e, int64_t wall_ns); /* 1: nobody wants it any more */
#endif
