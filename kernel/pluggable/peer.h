/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of one instance, seen from one loop: a connection, made when it is needed and
 * again when it was lost, and calls on it. A process that took the place of the one that was told
 * Init is told Init before anything else is asked of it, so a component that was restarted goes on
 * without anybody's help.
 *
 * Operations run in peer_run(), which gives them an arena that may jump (base/arena.h) and tells
 * them of cancelling.
 */
#ifndef PLUGGABLE_PEER_H
#define PLUGGABLE_PEER_H
#include <protobuf-c/protobuf-c.h>

#include <davit/plugin.h>

#include "base/error.h"
#include "pluggable/status.h"

struct peer;
struct grpc_stream;

/* One operation under way. */
struct peer_job {
	struct peer *peer;
	struct davit_call *call;
	struct arena *arena;
	struct grpc_stream *now; /* what to cancel; NULL: nothing */
	int broken;		 /* a text of the request cannot be sent */
};

typedef davit_status peer_fn(struct peer_job *j, const void *in);

/*
 * Opens: connects, tells Init, then runs `first`, on the first loop only, which emits what it finds
 * out. On failure nothing * is left.
 */
davit_status peer_open(struct davit_call *call, const struct davit_open *in, const char *service, peer_fn *first);
/* What `first` of a block does: asks for its features ("StateStore/Features"), turns those it knows into bits, and emits itself. */
struct peer_feature {
	const char *name; /* NULL: the end */
	uint32_t bit;
};
davit_status peer_first(struct peer_job *j, const char *method, const struct peer_feature *known);
davit_status peer_run(void *self, struct davit_call *call, peer_fn *fn, const void *in);

/*
 * One call; method: "StateStore/Get", below dapr.proto.components.v1. 0: *ret_reply, in the arena;
 * -1: *ret_end * says how it ended.
 */
int peer_call(struct peer_job *j, const char *method, const ProtobufCMessage *in, const ProtobufCMessageDescriptor *out,
	      void **ret_reply, struct status *ret_end);
/* The same where every failure is the operation's: what to return. */
davit_status peer_ask(struct peer_job *j, const char *method, const ProtobufCMessage *in,
		      const ProtobufCMessageDescriptor *out, void **ret_reply);
davit_status peer_fail(struct peer_job *j, const struct status *end);
int64_t *peer_max_ops(struct peer *p); /* kept for state.c; -1 at first */

davit_status peer_close(void *self, struct davit_call *call, const void *none);
davit_status peer_ping(void *self, struct davit_call *call, const void *none);

/* Texts and maps for the messages. A text with a NUL inside cannot be sent: the operation ends INVALID_ARGUMENT. */
char *peer_text(struct peer_job *j, struct davit_str s);
/* A map<string, string> field: its entries, all of which have one layout. NULL for none. */
void *peer_map(struct peer_job *j, const ProtobufCMessageDescriptor *entry, const struct davit_pair *pairs, uint64_t n);
const struct davit_pair *peer_pairs(struct peer_job *j, void *entries, size_t n);
davit_status peer_emit(struct peer_job *j, const void *record); /* its texts are in the arena: not copied */
#endif
