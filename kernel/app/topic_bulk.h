/* SPDX-License-Identifier: Apache-2.0 */
/* Several events of one topic and path in one request to the application, each with an answer of its own. */
#ifndef APP_TOPIC_BULK_H
#define APP_TOPIC_BULK_H
#include "app/topic_event.h"

enum topic_entry_state { TOPIC_ENTRY_OPEN, TOPIC_ENTRY_DONE, TOPIC_ENTRY_DROPPED, TOPIC_ENTRY_FAILED };

struct topic_entry {
	struct str id;		 /* unique in the batch */
	struct str content_type; /* of the message; "" is sent as what it is then over HTTP, and not over gRPC */
	const struct davit_pair *metadata;
	size_t nmetadata;
	const struct topic_event *event; /* NULL: raw */
	struct str raw;			 /* the message as the component gave it */

	/* Set by the answer; OPEN before it. */
	enum topic_entry_state state;
	int dead_letter; /* with DROPPED: the application asked for it, so it may become a dead letter */
	struct str why;	 /* of FAILED */
	void *user;
};

struct topic_bulk {
	struct str topic, pubsub, path;
	const struct davit_pair *metadata; /* of the batch: pubsubName */
	size_t nmetadata;
	struct topic_entry **entries;
	size_t nentries;
};

/* What became of the whole. code: as in struct topic_answer; counts are of entries. */
struct topic_bulk_answer {
	size_t done, dropped, failed;
	int code;
	struct str why; /* why the call as a whole failed; "" it did not */
};

struct str topic_bulk_http_body(struct arena *a, const struct topic_bulk *b);
struct topic_bulk_answer topic_bulk_http_answer(struct arena *a, struct topic_bulk *b, int status, struct str body);

/* Entries that gRPC cannot say are FAILED and left out. */
Dapr__Proto__Runtime__V1__TopicEventBulkRequest *topic_bulk_grpc_request(struct arena *a, struct topic_bulk *b);
struct topic_bulk_answer topic_bulk_grpc_answer(struct arena *a, struct topic_bulk *b, const struct error *error,
						const Dapr__Proto__Runtime__V1__TopicEventBulkResponse *reply);

/* Every entry that is OPEN becomes this. */
void topic_bulk_settle(struct topic_bulk *b, enum topic_entry_state state, struct str why);
struct topic_bulk_answer topic_bulk_count(const struct topic_bulk *b, int code, struct str why);

/* topic_grpc.c: an event as an entry of a batch has it. */
Dapr__Proto__Runtime__V1__TopicEventCERequest *topic_grpc_event(struct arena *a, const struct topic_event *e,
								struct str *ret_why);
#endif
