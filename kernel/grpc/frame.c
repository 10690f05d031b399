/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/frame.h"

#include "base/banned.h"
#include "grpc/inside.h"

static size_t take(struct str *piece, void *to, size_t most)
{
	size_t n = piece->n < most ? piece->n : most;

	if (n > 0)
		memcpy(to, piece->p, n);
	*piece = str_from(*piece, n);
	return n;
}

static int begin(struct grpc_frame *f, struct arena *a, size_t limit, struct error *ret_error)
{
	const unsigned char *p = f->prefix;

	f->length = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (limit > 0 && f->length > limit) {
		*ret_error = grpc_error(a, ERROR_RESOURCE_EXHAUSTED,
					"grpc: received message larger than max (%zu vs. %zu)", f->length, limit);
		return -1;
	}
	if (p[0] > 1) {
		*ret_error = grpc_error(a, ERROR_INTERNAL, "grpc: received unexpected payload format %d", p[0]);
		return -1;
	}
	return 0;
}

static int whole(struct grpc_frame *f, struct str message, int *ret_compressed, struct str *ret_message)
{
	*ret_compressed = f->prefix[0];
	*ret_message = message;
	*f = (struct grpc_frame){ .nprefix = 0 };
	return 1;
}

int grpc_frame_take(struct grpc_frame *f, struct arena *a, struct str *piece, size_t limit, int *ret_compressed,
		    struct str *ret_message, struct error *ret_error)
{
	struct str message;

	if (f->nprefix < GRPC_PREFIX) {
		f->nprefix += (unsigned)take(piece, f->prefix + f->nprefix, GRPC_PREFIX - f->nprefix);
		if (f->nprefix < GRPC_PREFIX)
			return 0;
		if (begin(f, a, limit, ret_error) < 0)
			return -1;
	}
	if (f->gathered == NULL && piece->n >= f->length) {
		message = str_upto(*piece, f->length);
		*piece = str_from(*piece, f->length);
		return whole(f, message, ret_compressed, ret_message);
	}
	/* Room for all of it at once: pages that never fill are never touched. */
	if (f->gathered == NULL && (f->gathered = arena_try(a, f->length)) == NULL) {
		*ret_error = GRPC_NO_MEMORY;
		return -1;
	}
	f->ngathered += take(piece, f->gathered + f->ngathered, f->length - f->ngathered);
	if (f->ngathered < f->length)
		return 0;
	return whole(f, (struct str){ f->gathered, f->length }, ret_compressed, ret_message);
}

int grpc_frame_inside(const struct grpc_frame *f)
{
	return f->nprefix > 0;
}

void grpc_frame_prefix(char ret_prefix[GRPC_PREFIX], int compressed, size_t length)
{
	ret_prefix[0] = (char)compressed;
	ret_prefix[1] = (char)(length >> 24);
	ret_prefix[2] = (char)(length >> 16);
	ret_prefix[3] = (char)(length >> 8);
	ret_prefix[4] = (char)length;
}
