/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h1_body.h"

#include "base/banned.h"
#include "http/h1_head.h"

#define MOST_OVERHEAD 16384 /* bytes of framing beyond what the data justify: chunks of one byte, long extensions */

void h1_body_init(struct h1_body *b, int chunked, uint64_t length, size_t trailer_limit)
{
	*b = (struct h1_body){ .trailer_limit = trailer_limit };
	if (chunked)
		b->state = CHUNK_SIZE;
	else if (length > 0)
		b->state = BODY_LENGTH, b->left = length;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The chunk's size is known. Each byte of data pays for framing. */
static void begin_chunk(struct h1_body *b)
{
	uint64_t pays = 16 + 2 * (b->left < MOST_OVERHEAD ? b->left : MOST_OVERHEAD);

	b->overhead = b->overhead > pays ? b->overhead - (uint32_t)pays : 0;
	b->digits = 0;
	b->state = b->left > 0 ? CHUNK_DATA : CHUNK_TRAILERS;
}

/* One byte of framing. */
static void step(struct h1_body *b, char c)
{
	int digit;

	if (++b->overhead > MOST_OVERHEAD)
		b->state = BODY_BAD;
	switch (b->state) {
	case CHUNK_SIZE:
		digit = hex(c);
		if (digit >= 0 && b->digits < 15) {
			b->left = b->left << 4 | (unsigned)digit;
			b->digits++;
		} else if (b->digits == 0 || digit >= 0) {
			b->state = BODY_BAD;
		} else if (c == '\r') {
			b->state = CHUNK_SIZE_LF;
		} else {
			b->state = c == ';' || c == ' ' || c == '\t' ? CHUNK_EXTENSION : BODY_BAD;
		}
		break;
	case CHUNK_EXTENSION:
		if (c == '\r')
			b->state = CHUNK_SIZE_LF;
		else if (((unsigned char)c < ' ' && c != '\t') || c == 0x7f)
			b->state = BODY_BAD;
		break;
	case CHUNK_SIZE_LF:
		if (c == '\n')
			begin_chunk(b);
		else
			b->state = BODY_BAD;
		break;
	case CHUNK_CR: b->state = c == '\r' ? CHUNK_LF : BODY_BAD; break;
	case CHUNK_LF: b->state = c == '\n' ? CHUNK_SIZE : BODY_BAD; break;
	default: b->state = BODY_BAD; break;
	}
}

static enum h1_body_event data_piece(struct h1_body *b, struct str data, size_t *ret_used, struct str *ret_piece)
{
	*ret_piece = str_upto(data, b->left < data.n ? (size_t)b->left : data.n);
	*ret_used += ret_piece->n;
	b->left -= ret_piece->n;
	if (b->left == 0)
		b->state = b->state == BODY_LENGTH ? BODY_DONE : CHUNK_CR;
	return BODY_PIECE;
}

/* The trailer section is taken whole: an empty line, or fields and an empty line. */
static enum h1_body_event trailers(struct h1_body *b, struct str data, size_t *ret_used, struct str *ret_piece)
{
	size_t n = 0;

	if (data.n >= 2 && data.p[0] == '\r' && data.p[1] == '\n') {
		n = 2;
	} else if (data.n > 0 && h1_token[(unsigned char)data.p[0]]) {
		n = h1_head_end(data, &b->scanned);
	} else if (data.n >= 2 || (data.n == 1 && data.p[0] != '\r')) {
		b->state = BODY_BAD;
		return BODY_BROKEN;
	}
	if (n > b->trailer_limit || (n == 0 && data.n > b->trailer_limit)) {
		b->state = BODY_BAD;
		return BODY_BROKEN;
	}
	if (n == 0)
		return BODY_MORE;
	*ret_piece = str_upto(data, n);
	*ret_used += n;
	b->state = BODY_DONE;
	return n > 2 ? BODY_TRAILERS : BODY_END;
}

enum h1_body_event h1_body_next(struct h1_body *b, struct str data, size_t *ret_used, struct str *ret_piece)
{
	*ret_used = 0;
	for (;;) {
		switch (b->state) {
		case BODY_DONE: return BODY_END;
		case BODY_BAD: return BODY_BROKEN;
		case CHUNK_TRAILERS: return trailers(b, str_from(data, *ret_used), ret_used, ret_piece);
		case BODY_LENGTH:
		case CHUNK_DATA:
			if (*ret_used == data.n)
				return BODY_MORE;
			return data_piece(b, str_from(data, *ret_used), ret_used, ret_piece);
		default:
			if (*ret_used == data.n)
				return BODY_MORE;
			step(b, data.p[(*ret_used)++]);
			break;
		}
	}
}
