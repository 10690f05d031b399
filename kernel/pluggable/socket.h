/* SPDX-License-Identifier: Apache-2.0 */
/* One socket of the folder and one type that it offers. For pluggable/ alone. */
#ifndef PLUGGABLE_SOCKET_H
#define PLUGGABLE_SOCKET_H
#include <sys/types.h>

#include "plugin/registry.h"

#define SOCKET_MESSAGE_LIMIT (64u << 20) /* bytes of a message, both ways */

/* A component_type's adapter; lives as long as the pluggable. */
struct socket {
	struct component_type type;
	struct manifest manifest;
	struct manifest_component about;
	struct socket *next;
	const char *path;
};

/* Which process listens there: whoever starts anew has to bind anew. */
struct socket_identity {
	dev_t device;
	ino_t inode;
	int64_t made_ns;
};

int socket_identify(const char *path, struct socket_identity *ret_identity); /* -1: no socket is there */
struct grpc_client;
struct grpc_client *socket_client(const char *path); /* of the loop's own thread. NULL: no memory */

/*
 * Asks the socket's reflection whether it serves the service. On a fiber, parks. 1: it does; 0: it
 * does not; -1: nobody answers (yet); -2: it answers, but not by reflection. *ret_message, in a,
 * says what happened if it is not 1.
 */
int socket_serves(const char *path, const char *service, int64_t deadline_ns, struct arena *a, struct str *ret_message);
#endif
