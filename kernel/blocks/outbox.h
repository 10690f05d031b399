/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dapr's transactional outbox: a transaction on a store whose metadata names a pub/sub component and a topic publishes what
 * it writes. First to an internal topic, with a marker's key; the marker is part of the transaction. Who reads the internal
 * topic publishes to the real one when the marker is there, and removes it: so nothing is published that was not written.
 */
#ifndef BLOCKS_OUTBOX_H
#define BLOCKS_OUTBOX_H
#include "app/topic_send.h"
#include "blocks/pubsub.h"
#include "blocks/routing.h"
#include "blocks/state.h"

struct outbox {
	struct str publish_pubsub, publish_topic;
	int discard; /* a marker that is not there ends the event, else its broker gives it again */
	struct state_store *store;
	struct subscription about; /* of the internal topic */
	const struct routing *routing;
};

/* From a store's properties, in a. NULL: there is none. */
struct outbox *outbox_new(struct arena *a, struct state_store *store, const struct davit_pair *props, size_t n,
			  struct str app_id, struct str name_space);

/*
 * Before the transaction: publishes to the internal topic what the steps write. *ret_steps: without those that are only to
 * be published in another's place. *ret_markers go along in the transaction, their keys as they are.
 */
struct error outbox_publish(struct blocks *b, struct scope *s, struct state_store *store,
			    const struct state_step *steps, size_t n, const struct state_step **ret_steps,
			    size_t *ret_n, const struct davit_state_op **ret_markers, size_t *ret_nmarkers);

/* An event of the internal topic; a subscriber's send. Parks for a second and more. */
struct topic_answer outbox_deliver(struct blocks *b, struct outbox *o, struct arena *a, const struct topic_event *e,
				   struct topic_cancel *cancel);
#endif
