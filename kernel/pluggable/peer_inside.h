/* SPDX-License-Identifier: Apache-2.0 */
/* What peer.c and peer_call.c share; nobody else includes it. */
#ifndef PLUGGABLE_PEER_INSIDE_H
#define PLUGGABLE_PEER_INSIDE_H
#include <pthread.h>
#include <stdatomic.h>

#include "grpc/client.h"
#include "pluggable/peer.h"
#include "pluggable/socket.h"

/* What all loops' peers of an instance have in common. */
struct peer_shared {
	_Atomic int refs;
	const char *path;    /* of the socket */
	const char *service; /* "StateStore" */
	struct str name;     /* of the instance, which keeps it */
	char *init;	     /* the request, packed; does not change any more */
	size_t ninit;
	pthread_mutex_t lock; /* innermost; for what follows */
	int greeted;
	struct socket_identity identity; /* of who was told Init last */
};

/* Who waits while another fiber tells Init; on its stack. */
struct peer_waiter {
	struct peer_waiter *next;
	struct fiber *fiber;
};

struct peer {
	struct grpc_client *client;
	struct peer_shared *shared;
	int calls;  /* under way */
	int closed; /* the client has gone; the last call frees the rest */
	int64_t max_ops;
	int doubtful; /* a call has failed: look whether it is still the same process */

	/* Checking in, one fiber for all. */
	int checking;
	unsigned round;
	struct peer_waiter *waiting;
	struct status last; /* how the last round ended; its message in last_text */
	char last_text[300];
};

/* Who uses it beside peer_run(): it stays until as many have let go. */
void peer_hold(struct peer *p);
void peer_let_go(struct peer *p);

/* Tells Init if another process listens than the one that was told. 0; -1: *ret_end. Does not jump. */
int peer_check_in(struct peer_job *j, struct status *ret_end);
/* One message there and one back. Does not jump. */
int peer_exchange(struct peer_job *j, struct str path, struct str message, int64_t deadline_ns,
		  const ProtobufCMessageDescriptor *out, void **ret_reply, struct status *ret_end);
#endif
