/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the body of an HTTP/1 request ends: by its length or by chunks (RFC 9112, 6 and 7). Every byte of the framing is
 * checked: a decoder that skips what it does not expect lets one request hide in another.
 */
#ifndef HTTP_H1_BODY_H
#define HTTP_H1_BODY_H
#include <stdint.h>

#include "base/str.h"

enum h1_body_state {
	BODY_DONE,
	BODY_LENGTH,
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_CR,
	CHUNK_LF,
	CHUNK_TRAILERS,
	BODY_BAD
};

struct h1_body {
	enum h1_body_state state;
	uint64_t left;	   /* of the body, or of the chunk */
	uint32_t digits;   /* of the chunk's size so far */
	uint32_t overhead; /* framing that carried little */
	size_t scanned;	   /* of the trailers */
	size_t trailer_limit;
};

enum h1_body_event { BODY_MORE, BODY_PIECE, BODY_TRAILERS, BODY_END, BODY_BROKEN };

void h1_body_init(struct h1_body *b, int chunked, uint64_t length, size_t trailer_limit);
/*
 * Goes on in data. *ret_used bytes of it are done with (the piece among them). MORE: it needs further bytes; PIECE: a
 * piece of the body; TRAILERS: *ret_piece is the trailer section up to its empty line, the body's end follows; END.
 */
enum h1_body_event h1_body_next(struct h1_body *b, struct str data, size_t *ret_used, struct str *ret_piece);
#endif
