/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's message framing: a flag, four bytes of length, the message. For grpc/ alone. */
#ifndef GRPC_FRAME_H
#define GRPC_FRAME_H
#include "base/error.h"

#define GRPC_PREFIX 5

struct grpc_frame {
	unsigned char prefix[GRPC_PREFIX];
	unsigned nprefix;
	size_t length;
	char *gathered; /* NULL: nothing of a message that is split over pieces */
	size_t ngathered;
};

/*
 * Takes from *piece, which becomes what is left of it. 1: *ret_message, a part of *piece itself when it lay there whole,
 * else in the arena; 0: needs another piece; -1: refused: larger than `limit` (0: none), an unknown flag, no memory.
 */
int grpc_frame_take(struct grpc_frame *f, struct arena *a, struct str *piece, size_t limit, int *ret_compressed,
		    struct str *ret_message, struct error *ret_error);
int grpc_frame_inside(const struct grpc_frame *f); /* a message has begun and not ended */
void grpc_frame_prefix(char ret_prefix[GRPC_PREFIX], int compressed, size_t length);
#endif
